//! What goes into a store and what comes out of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::{Checkpoint, Position};

use crate::fold::Changes;
use crate::parking::ParkedRecord;
use crate::release::Released;

/// One table of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: i64,
    pub(crate) version: i32,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    pub(crate) stopped: Option<String>,
    /// Why it has to be folded anew.
    pub(crate) rebuild_wanted: Option<String>,
    /// How long ago the checkpoint last moved, by the store's clock.
    pub(crate) idle: Option<Duration>,
    /// Which build has begun it.
    pub(crate) build: Option<String>,
    /// Up to where in the log the rebuild that folded its rows knew what operators wanted.
    pub(crate) heeded: Option<Position>,
    /// How often parked events of it were taken.
    pub(crate) releases: i64,
}

/// What a table that is to be built begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Building {
    /// See [`Generation::heeded`].
    pub(crate) heeded: Position,
    /// A table that waits for somebody stays.
    pub(crate) spare: bool,
}

impl Building {
    /// Which tables make room for it.
    pub(crate) fn drops(self) -> &'static str {
        match self.spare {
            true => "state = 'building' AND NOT waits",
            false => "state = 'building'",
        }
    }
}

/// The result of folding one page, to be stored as a whole or not at all.
pub(crate) struct PageCommit {
    pub(crate) generation: i64,
    pub(crate) from: Checkpoint,
    pub(crate) to: Checkpoint,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) changes: Changes,
    pub(crate) parked: Vec<ParkedRecord>,
    pub(crate) released: Vec<Released>,
    pub(crate) rebuild_wanted: Option<String>,
}

/// Whether a page was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Committed {
    Yes,
    /// The checkpoint is not where this projector left it: another one was here, or the table was
    /// replaced. Nothing was stored.
    Fenced,
}

/// Where a parked event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParkedAt {
    pub(crate) position: Position,
    /// What follows on its stream is parked with it.
    pub(crate) breaks_stream: bool,
}

/// A type of events that are parked because an older build did not know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownType {
    pub(crate) event_type: String,
    pub(crate) schema_version: i16,
}

/// A table, and what [`tally_query`](crate::table::TableDef::tally_query) found in it.
pub(crate) type Tally = (Generation, Vec<(Option<String>, u64)>);
