//! A saga of another domain: the engine runs sagas it has never heard of.

mod agency;
mod suite;
mod trip;
