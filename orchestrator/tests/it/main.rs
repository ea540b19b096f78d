//! The integration tests of the whole product, in one binary.

mod adapters;
mod broker;
mod checker;
mod edge;
mod fulfilment;
mod harness;
mod house;
mod many;
mod model;
mod ports;
mod races;
mod simulate;
mod soak;
mod storm;
mod town;
mod travel;
mod wakeups;
