//! The queue of wake-ups: one contract, kept by every carrier.

mod carriers;
mod contract;
mod outages;
mod permissions;
mod refusals;

pub(crate) use carriers::{
    FEW, carries, connected, dropped, nobody_finishes, on_each_carrier_within, takes,
};
