//! The aggregates of the book market as pure deciders.

pub mod saga;
