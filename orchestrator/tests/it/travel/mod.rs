//! A saga of another domain: the engine runs sagas it has never heard of.

mod agency;
mod engine;
mod suite;
mod trip;
