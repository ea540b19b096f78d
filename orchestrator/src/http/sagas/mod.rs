//! Sagas over HTTP, for operators.

mod account;
mod bulk;
mod list;
mod order;
mod show;
mod verbs;
mod wish;

pub use bulk::{__path_bulk, bulk};
pub use list::{__path_list, list};
pub use show::{__path_show, show};
pub use verbs::{__path_act, act};
