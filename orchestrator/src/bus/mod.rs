//! What carries word between the processes of one shop, and to everybody else. The log decides everything; what the broker
//! loses, repeats or reorders costs time, never an outcome.
//!
//! * [`connection`] is this process's one connection to the broker, if there is one.
//! * [`relay`] publishes the log.
//! * [`steps`] has a step of a saga done by a program in any language.
//! * [`wakeups`] says to whichever worker is free: look at this saga.
//! * [`attendant`] pulls them for an engine.
//! * [`checkup`] finds out what a broker is like, for whoever looks after it.
//! * [`hints`] tells readers of other processes that the log has grown.

pub mod attendant;
pub mod checkup;
pub mod connection;
mod denials;
pub mod hints;
pub mod jetstream;
mod local;
pub mod relay;
pub mod steps;
pub mod wakeups;
