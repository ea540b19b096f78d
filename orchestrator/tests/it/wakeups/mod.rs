//! The queue of wake-ups: one contract, kept by every carrier.

mod carriers;
mod contract;
mod outages;
mod refusals;

pub(crate) use carriers::{carries, connected, takes};
