//! Kakao messages to customers; each is an aggregate of its own.

mod event;

pub use event::*;
