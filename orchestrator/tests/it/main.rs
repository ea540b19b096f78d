//! The integration tests of the whole product, in one binary.

mod edge;
mod fulfilment;
mod harness;
mod house;
mod model;
mod simulator;
mod travel;
