//! Book Market's fulfilment service: saga engine, fulfilment saga, HTTP edge and command line.

pub mod app;
pub mod bench;
pub mod cli;
pub mod config;
pub mod execute;
pub mod fulfilment;
pub mod http;
pub mod providers;
pub mod saga;
mod saga_index;
pub mod telemetry;
mod workers;
