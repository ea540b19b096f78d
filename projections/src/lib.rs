//! Read models of the book market, folded from its log.
//!
//! A view is a pure [`Projection`]: which row an event belongs to, and how the row takes it. The runner
//! keeps its table up with the log; a rebuild folds it anew beside the live one. Both store rows and
//! checkpoint in one transaction, so that a view always equals a replay of the log up to its checkpoint.
//!
//! [`Projections`] is the handle to all of it.

mod cursor;
mod error;
mod fold;
mod live;
mod projection;
mod projections;
mod projector;
mod query;
mod rebuild;
mod runner;
mod status;
mod store;
mod table;
mod tail;
mod views;

pub use error::{OpenError, QueryError, RebuildError, RunError, StoreError, WaitError};
pub use projection::{ApplyError, Facts, Projection};
pub use projections::{Options, Projections, UnknownView, View};
pub use query::{
    CustomerFilter, CustomerList, MessageFilter, PAGE_MAX, Page, PageRequest, SagaFilter,
};
pub use rebuild::{RebuildProgress, RebuildReport};
pub use status::{PARKED_LISTED, ProjectionState, ProjectionStatus};
pub use store::ParkedEvent;
pub use table::{Column, Index, Kind, Rows, TableDef, Value};
pub use views::{customer, message, saga};
