//! What can go wrong with views.

use std::path::PathBuf;
use std::time::Duration;

use eventstore::{Position, ReadError};
use uuid::Uuid;

/// The store of the views cannot be opened or migrated.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded file cannot be opened.
    #[error("cannot open the views in {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// Postgres cannot be reached or refuses us.
    #[error("cannot connect to the views' database")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A migration failed.
    #[error("cannot migrate the views")]
    Migrate(#[source] Box<refinery::Error>),
    /// The tables are missing or of a newer build.
    #[error("the views' tables cannot be read; if they are missing, run the migrations first")]
    Schema(#[source] StoreError),
}

/// The store of the views failed. What was to be written is not written, unless the connection was
/// lost in the middle of a commit; the checkpoint then tells.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres failed.
    #[error("the views' database failed")]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection to Postgres could be had.
    #[error("no connection to the views' database")]
    Pool(#[from] deadpool_postgres::PoolError),
    /// SQLite failed.
    #[error("the views' file failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The group of commits that a write was in failed as a whole.
    #[error("the views' commit failed: {0}")]
    Group(String),
    /// The writer thread is gone.
    #[error("the views' writer has ended")]
    WriterGone,
    /// Somebody else has replaced or dropped the table in the meantime.
    #[error("the table of the view {view} was replaced meanwhile")]
    Replaced {
        /// The view.
        view: &'static str,
    },
    /// A view has no table.
    #[error("the view {view} has no table")]
    NoTable {
        /// The view.
        view: &'static str,
    },
}

/// A query of a view failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor was not made by this list with this filter.
    #[error("the cursor does not belong to this list")]
    Cursor,
    /// A stored row cannot be read by this build.
    #[error("a stored row cannot be read by this build")]
    Row(#[from] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A view has not reached a position in time.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Still behind when the time was up.
    #[error("the view {view} is at {at} and has not reached {wanted} within {waited:?}")]
    Behind {
        /// The view.
        view: &'static str,
        /// Where it is.
        at: Position,
        /// Where it should be.
        wanted: Position,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page could not be projected.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log failed, or is not the one that the checkpoint was taken from.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The views' store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored row was not written by this view.
    #[error("the stored row of {key} cannot be read")]
    Row {
        /// The row.
        key: Uuid,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The live table belongs to another definition of the view: of a newer build, or of an older one
    /// and another process is rebuilding it.
    #[error("the live table has version {found} of the view, this build has {known}")]
    Version {
        /// The table's.
        found: i32,
        /// This build's.
        known: i32,
    },
}

/// A rebuild did not happen; the live table is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another rebuild of the view is running.
    #[error("the view {view} is being rebuilt already")]
    Running {
        /// The view.
        view: &'static str,
    },
    /// Reading the log or writing the table failed.
    #[error(transparent)]
    Failed(#[from] RunError),
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ReadError> for RebuildError {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.into())
    }
}
