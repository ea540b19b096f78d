//! Book Market's fulfilment service: saga engine, fulfilment saga, HTTP edge and command line.

pub mod bench;
pub mod providers;
pub mod saga;
