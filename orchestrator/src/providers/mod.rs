//! The outside world: what fulfilment asks of payment providers, carriers and message dealers ([`ports`]), and the
//! adapters that answer. Only the composition root names an adapter; everything else holds a port.

pub mod carrier;
pub mod guard;
pub mod http;
pub mod label;
pub mod ports;
pub mod simulator;
pub mod solapi;
pub mod toss;
pub mod tracker;
pub mod words;
