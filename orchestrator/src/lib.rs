//! Book Market's fulfilment service: saga engine, fulfilment saga, HTTP edge and command line.

pub mod app;
pub mod bench;
pub mod bus;
pub mod cli;
mod clocks;
pub mod config;
pub mod execute;
pub mod fulfilment;
pub mod http;
pub mod lineage;
pub mod providers;
pub mod saga;
mod saga_index;
pub mod sheet;
pub mod telemetry;
mod tenure;
pub mod view_verbs;
mod workers;
