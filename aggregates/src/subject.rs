//! Customers as subjects of data protection.

mod event;

pub use event::*;
