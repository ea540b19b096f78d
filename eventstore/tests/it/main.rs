//! The contract of the event store, checked on both backends.

mod append;
mod archive;
mod batch;
mod bookmarks;
mod child;
mod full_disk;
mod leases;
mod lost_replies;
mod opening;
mod processes;
mod proxy;
mod reading;
mod refusals;
mod restart;
mod server;
mod standby;
mod support;
mod vault;
