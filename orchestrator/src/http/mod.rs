//! The HTTP edge: addresses, who may use them, and what their answers look like.

pub mod admission;
pub mod auth;
pub mod catalogue;
pub mod consistency;
pub mod customers;
pub mod docs;
pub mod etag;
pub mod extract;
pub mod fields;
pub mod gauges;
pub mod hal;
pub mod health;
pub mod idempotency;
pub mod kakaos;
pub mod log;
pub mod observe;
pub mod operation;
pub mod orders;
pub mod outcome;
pub mod problem;
pub mod rebuilds;
pub mod router;
pub mod sagas;
pub mod server;
pub mod state;
pub mod views;
