//! The outside world: what fulfilment asks of payment providers, carriers and message dealers ([`ports`]), and the
//! adapters that answer. Only the composition root names an adapter; everything else holds a port.

pub mod breaker;
pub mod ports;
pub mod simulator;
