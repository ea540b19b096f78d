//! Payments: what the provider took, refused and gave back for one order.

mod event;

pub use event::*;
