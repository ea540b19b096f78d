//! The HTTP edge and the command line, against real servers on real ports.

mod canary;
mod cancels;
mod child;
mod commands;
mod idempotency;
mod import;
mod log;
mod operation;
mod orders;
mod overload;
mod problems;
mod roles;
mod sagas;
mod server;
mod shutdown;
mod views;
