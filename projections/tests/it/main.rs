//! The views on both backends.

mod contract;
mod fencing;
mod lists;
mod oracle;
mod poison;
mod rebuild;
mod replaced_log;
mod status;
mod story;
mod world;
