//! The views: one file each, with its row, its keys and its fold.

pub mod customer;
pub mod message;
pub mod saga;
