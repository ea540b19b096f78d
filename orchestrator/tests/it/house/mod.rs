//! Tests of the house itself: who may import whom, what the documents claim, what is deployed.

mod compose;
mod scripts;
mod source;
