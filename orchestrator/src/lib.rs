//! Book Market's fulfilment service: saga engine, fulfilment saga, HTTP edge and command line.

pub mod bench;
pub mod execute;
pub mod fulfilment;
pub mod providers;
pub mod saga;
