//! The contract of the event store, checked on both backends.

mod append;
mod support;
mod vault;
