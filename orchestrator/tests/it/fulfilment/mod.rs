//! The fulfilment saga against the simulated providers. Every test ends with an audit of log and ledger.

mod audits;
mod bulk;
mod cancels;
mod chaos;
mod denials;
mod hints;
mod idempotency;
mod kept_sales;
mod late_charges;
mod market;
mod messages;
mod mismatches;
mod overdue;
mod overlong;
mod parked;
mod personal;
mod preflight;
mod reconciles;
mod remedies;
mod shop;
mod survives;
mod survives_message;
mod survives_small;
mod tokens;
mod tracking;
