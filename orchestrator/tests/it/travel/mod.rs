//! A saga of another domain: the engine runs sagas it has never heard of.

mod agency;
mod attending;
mod builds;
mod desk;
mod engine;
mod errands;
mod hints;
mod limits;
mod many_due;
mod neighbours;
mod offices;
mod preflight;
mod suite;
mod sweepers;
mod trip;
