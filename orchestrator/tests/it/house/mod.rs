//! Tests of the house itself: who may import whom, what the documents claim, what is deployed.

mod compose;
mod documents;
mod layering;
mod scripts;
mod source;
mod workspace;
