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
    /// Another process keeps its views in the directory.
    #[error("the views in {0} are in use by another process")]
    InUse(PathBuf),
    /// The files by which processes take turns cannot be used.
    #[error("cannot lock {path}")]
    Lock {
        /// Their directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A migration failed.
    #[error("cannot migrate the views")]
    Migrate(#[source] Box<refinery::Error>),
    /// The tables are missing or older than this build needs.
    #[error("the views are at schema {applied}, this build needs {needed}: run the migrations")]
    NotMigrated {
        /// Last migration found.
        applied: i32,
        /// Last migration this build knows.
        needed: i32,
    },
    /// The schema has moved beyond what this build understands.
    #[error(
        "the views need a build of generation {required} or later, this one is {this}: use a newer build"
    )]
    BinaryTooOld {
        /// Oldest generation allowed.
        required: i32,
        /// Generation of this build.
        this: i32,
    },
    /// The tables cannot be read.
    #[error("the views' tables cannot be read")]
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
    /// There was no answer for so long that it was waited for no longer.
    #[error("the views' store has not answered within {within:?}")]
    Silent {
        /// How long.
        within: Duration,
    },
    /// The writer thread is gone.
    #[error("the views' writer has ended")]
    WriterGone,
    /// Somebody else has replaced or dropped the table in the meantime.
    #[error("the table of the view {view} was replaced meanwhile")]
    Replaced {
        /// The view.
        view: &'static str,
    },
    /// The live table was made by another version of the view, and lacks what was asked for.
    #[error("the table of the view {view} is of another version")]
    OtherVersion {
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
    /// There is no table from which this can be answered: it is being made.
    #[error("the view {view} is being rebuilt")]
    Rebuilding {
        /// The view.
        view: &'static str,
    },
    /// A stored row cannot be read by this build.
    #[error("a stored row cannot be read by this build")]
    Row(#[source] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OtherVersion { view } | StoreError::NoTable { view } => {
                Self::Rebuilding { view }
            }
            other => Self::Store(other),
        }
    }
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
    /// A thread of a rebuild could not be started.
    #[error("no thread for the rebuild")]
    NoHand(#[source] std::io::Error),
    /// A thread of a rebuild has died: a defect of ours.
    #[error("a part of the rebuild has died")]
    HandGone,
    /// Nothing came of it for so long that it was given up, to begin anew.
    #[error("there was no progress for {after:?}")]
    Stuck {
        /// How long.
        after: Duration,
    },
    /// An operator's verb about this view that this build cannot read: a newer one has to take it.
    #[error("the verb at {position} cannot be read: {reason}")]
    Verb {
        /// Where it is.
        position: Position,
        /// Why not.
        reason: String,
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
    /// No earlier rebuild has left anything behind.
    #[error("there is no rebuild of the view {view} to resume: start one without resuming")]
    NothingToResume {
        /// The view.
        view: &'static str,
    },
    /// What an earlier rebuild has left behind is of another definition of the view.
    #[error(
        "the rebuild of the view {view} to resume is of version {found}, this build has {known}: start one without resuming"
    )]
    OtherVersion {
        /// The view.
        view: &'static str,
        /// The table's.
        found: i32,
        /// This build's.
        known: i32,
    },
    /// What an earlier rebuild has left behind was folded by another build, which may have known other events.
    #[error(
        "the rebuild of the view {view} to resume was made by another build ({found}): start one without resuming"
    )]
    OtherBuild {
        /// The view.
        view: &'static str,
        /// The table's.
        found: String,
    },
    /// What an earlier rebuild has left behind was folded from another log.
    #[error(
        "the rebuild of the view {view} to resume does not continue in this log: start one without resuming"
    )]
    OtherLog {
        /// The view.
        view: &'static str,
    },
    /// Since an earlier rebuild was cut off, operators have had an event left out that it has gone past.
    #[error(
        "events of the view {view} were left out since its rebuild was cut off: start one without resuming"
    )]
    SkippedSince {
        /// The view.
        view: &'static str,
    },
    /// The live table was folded from another log, so that there is no common place to compare at.
    #[error(
        "the live table of the view {view} was folded from another log: there is nothing to verify"
    )]
    NothingToVerify {
        /// The view.
        view: &'static str,
    },
    /// The live table is not as far as the one that was rebuilt, and nobody takes it there.
    #[error(
        "the live table of the view {view} is at {live} and does not come to {rebuilt}, where the rebuilt one is"
    )]
    LiveBehind {
        /// The view.
        view: &'static str,
        /// Where the live table is.
        live: Position,
        /// Where the rebuilt table is.
        rebuilt: Position,
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

/// The error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
