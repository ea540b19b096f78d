//! The saga engine: runs sagas it has never heard of, and never loses one.
//!
//! * [`definition`] says what a saga is: steps, participants, what goes into the log beside its own events.
//! * [`plan`] decides (pure): state and time to what to begin, what to write down, and when to look again.
//! * [`engine`] does what the plan says and appends the outcome. Recovery is the same path: read, fold, plan.
//! * [`dispatch`] says which steps an engine leaves to others, and how those hear of it.
//! * [`sweeper`] wakes what is due and nobody is looking after.
//!
//! The log decides; everything in memory is a hint. Two engines may work on one saga at any time: appends to its stream carry
//! the version they were decided on, and whoever loses reads again.

pub mod aftermath;
mod attempt;
pub mod bulk;
pub mod clock;
pub mod definition;
mod desk;
pub mod dispatch;
pub mod draft;
pub mod engine;
pub mod finding;
mod follower;
pub mod history;
pub mod index;
mod meter;
mod news;
pub mod observer;
mod places;
pub mod plan;
pub mod preflight;
mod registry;
pub mod start;
pub mod step;
pub mod sweeper;
mod task;
mod timers;
mod unheeded;
pub mod verbs;
pub mod view;
mod wake;
mod writer;

pub use draft::{RECORD_FAILED, SYSTEM};
pub use news::FOUND;
pub use start::key;
