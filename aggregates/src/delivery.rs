//! Deliveries: the parcel of one order.

mod event;

pub use event::*;
