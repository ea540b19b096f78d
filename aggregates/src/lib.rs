//! The aggregates of the book market as pure deciders.

pub mod codec;
pub mod decider;
pub mod delivery;
pub mod event;
pub mod field;
pub mod ids;
pub mod instant;
pub mod kakao;
pub mod money;
pub mod order;
pub mod payment;
pub mod personal;
pub mod refusal;
pub mod saga;
pub mod subject;
#[cfg(test)]
mod testing;

pub use decider::{Decider, IllegalTransition};
pub use event::{Event, category_of};
