//! What must hold for all aggregates together.

mod codec;
mod generators;
mod golden;
mod laws;
mod layering;
