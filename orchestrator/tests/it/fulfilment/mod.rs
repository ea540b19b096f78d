//! The fulfilment saga against the simulated providers. Every test ends with an audit of log and ledger.

mod audits;
mod cancels;
mod chaos;
mod idempotency;
mod market;
mod messages;
mod parked;
mod personal;
mod shop;
mod survives;
mod survives_message;
mod tokens;
mod tracking;
