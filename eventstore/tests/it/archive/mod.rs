//! A log in a file: made, kept, and turned into a log again.

mod damage;
mod figures;
mod interrupted;
mod keys;
mod round_trip;
mod shelf;
mod targets;
