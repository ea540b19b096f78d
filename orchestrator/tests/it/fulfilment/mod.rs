//! The fulfilment saga against the simulated providers. Every test ends with an audit of log and ledger.

mod cancels;
mod idempotency;
mod messages;
mod personal;
mod shop;
mod survives;
mod tokens;
