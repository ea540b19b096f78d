//! Typed failures of appends, reads and opening.

use std::path::PathBuf;

use uuid::Uuid;

use crate::event::Expected;
use crate::invalid::InvalidEvent;
use crate::position::{Checkpoint, Version};
use crate::stream::StreamId;

/// Why an append is not known to be in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A stream was not as expected; nothing of this append was stored.
    #[error("conflict on {stream}: expected {expected}, found version {actual}")]
    Conflict {
        /// The first stream that was not as expected.
        stream: StreamId,
        /// What the caller expected.
        expected: Expected,
        /// What the log had.
        actual: Version,
    },
    /// The append can never be stored as it is.
    #[error("the append cannot be stored: {0}")]
    Invalid(#[from] InvalidEvent),
    /// It was sent and no answer could be had within the deadline: it may or may not be in the log. Reading the stream and
    /// looking for the event ids tells.
    #[error("the outcome of the append is not known")]
    Unknown,
    /// The log could not be reached; surely nothing was stored.
    #[error("the event store is unavailable: {0}")]
    Unavailable(String),
    /// The log has no room; surely nothing was stored. Appends work again by themselves once there is room.
    #[error("the event store is full: {0}")]
    Full(String),
}

/// Why a read gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The log does not hold the event that the checkpoint names: it was replaced by an older or another copy. The reader must
    /// stop; going on would skip or repeat events silently.
    #[error("the log does not continue from checkpoint {}: expected event {}, found {found:?}", checkpoint.position, checkpoint.event_id)]
    CheckpointMismatch {
        /// What the reader remembered.
        checkpoint: Checkpoint,
        /// The event at that position now, if any.
        found: Option<Uuid>,
    },
    /// More events belong together than can be read at once.
    #[error("{id} has more than {limit} events")]
    TooManyRelated {
        /// The id that was read.
        id: Uuid,
        /// The limit.
        limit: usize,
    },
    /// A stored row is not what this code ever writes.
    #[error("the log holds a row that cannot be read: {0}")]
    Corrupt(String),
    /// The log could not be reached or did not answer in time.
    #[error("the event store is unavailable: {0}")]
    Unavailable(String),
}

impl ReadError {
    /// Whether it stays so however often the same is read, by whichever process.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::TooManyRelated { .. } | Self::Corrupt(_))
    }
}

/// Why a store could not be opened or migrated.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes this directory.
    #[error("{} is in use by another process; a directory has one writer", .0.display())]
    Locked(PathBuf),
    /// The tables are missing or older than this build needs.
    #[error(
        "the event store is at schema {applied}, this build needs {needed}: run the migrations"
    )]
    NotMigrated {
        /// Last migration found.
        applied: i32,
        /// Last migration this build knows.
        needed: i32,
    },
    /// The schema has moved beyond what this build understands.
    #[error(
        "the event store needs a build of generation {required} or later, this one is {this}: use a newer build"
    )]
    BinaryTooOld {
        /// Oldest generation allowed.
        required: i32,
        /// Generation of this build.
        this: i32,
    },
    /// An import was begun and has not ended well, so that this is not a whole log.
    #[error(
        "the log holds only the beginning of an import: import the same file again, which goes on where it stopped, or begin \
         anew in an empty store"
    )]
    HalfImport,
    /// A setting of the server would lose acknowledged events in a crash.
    #[error(
        "the server runs with {setting} = {value}, which can lose acknowledged events: turn it on"
    )]
    NotDurable {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// The server does not accept writes, such as a standby.
    #[error("the database accepts no writes (is it a standby?)")]
    ReadOnly,
    /// The database URL is malformed. The URL itself is not shown: it may carry a password.
    #[error("the database URL is malformed: {0}")]
    Url(String),
    /// A file of the store cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database could not be reached or refused the connection.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// There is no room to open the store.
    #[error("no room to open the event store: {0}")]
    Full(String),
    /// A migration failed.
    #[error("the migration failed: {0}")]
    Migration(String),
}
