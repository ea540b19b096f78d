//! Read models of the book market, folded from its log.
//!
//! A view is a pure [`Projection`]: which row an event belongs to, and how the row takes it. The runner
//! keeps its table up with the log; a rebuild folds it anew beside the live one. Both store rows and
//! checkpoint in one transaction, so that a view always equals a replay of the log up to its checkpoint.
//!
//! [`Projections`] is the handle to all views of the product, [`ViewOf`] to one view of any kind.

mod cursor;
mod error;
mod fold;
mod live;
mod parking;
mod past;
mod places;
mod projection;
mod projections;
mod projector;
mod pulse;
mod query;
mod rebuild;
mod release;
mod runner;
mod schema;
mod site;
mod status;
mod store;
mod table;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;
mod verbs;
mod verify;
mod view_of;
mod views;

pub use error::{OpenError, QueryError, RebuildError, RunError, StoreError, WaitError};
pub use parking::{Cause, ParkedEvent, ParkedKey};
pub use past::{Past, PastError};
pub use places::{Place, Places};
pub use projection::{ApplyError, Facts, Keys, Projection};
pub use projections::{Options, Projections, UnknownView, View};
pub use query::{
    Changes, Counts, CustomerFilter, CustomerList, Edition, InvalidEdition, MessageFilter,
    PAGE_MAX, Page, PageRequest, SagaFilter, Span,
};
pub use rebuild::{Cutover, Phase, RebuildOptions, RebuildProgress, RebuildReport, WORKERS_MAX};
pub use status::{LagReason, PARKED_LISTED, ProjectionState, ProjectionStatus};
pub use table::{Column, Condition, Index, Kind, Rows, TableDef, Value};
pub use verify::{DIFFERENCES_LISTED, FieldDifference, RowDifference, Verification};
pub use view_of::ViewOf;
pub use views::{customer, message, saga};
