//! The integration tests of the whole product, in one binary.

mod harness;
mod house;
mod simulator;
mod travel;
