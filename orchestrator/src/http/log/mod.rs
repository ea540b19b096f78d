//! The log over HTTP: pages, one order's events, and the live stream.

mod page;
mod stream;
mod wire;

pub use page::{__path_list, __path_of_order, list, of_order};
pub use stream::{__path_follow, follow};
pub use wire::WireEvent;
