//! The integration tests of the whole product, in one binary.

mod fulfilment;
mod harness;
mod house;
mod simulator;
mod travel;
