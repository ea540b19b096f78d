//! Sagas over HTTP, for operators.

mod list;
mod show;
mod verbs;

pub use list::{__path_list, list};
pub use show::{__path_show, show};
pub use verbs::{__path_act, act};
