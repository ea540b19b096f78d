//! Orders: what a customer bought, and how far it has come.

mod event;

pub use event::*;
