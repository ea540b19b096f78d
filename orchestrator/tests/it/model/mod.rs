//! A model of the engine over the real fold, plan and drafts: two engines on one saga that crash, freeze, are woken twice and lose
//! replies, participants that honour keys or do not, and a request to undo. Every interleaving is tried.
//!
//! Only what has no place in pure code is modelled by hand: the log as one list with a version, the participants, and the way of a
//! call through an engine (check the time, send, hear the answer, write it down), each step of which anything may come in between.

mod checks;
mod likeness;
mod node;
mod parcel;
mod post;

mod system;
