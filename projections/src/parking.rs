//! What stands still in a view, and why.

use std::collections::HashSet;

use aggregates::codec::DecodeError;
use eventstore::Position;
use serde::Serialize;
use uuid::Uuid;

use crate::projection::Facts;

/// The reason kept with an event that only follows a parked one.
const FOLLOWS: &str = "follows a parked event of the same key";

/// Which build parks, as it is told to people.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Why an event is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// This build knows no event of that name and version; a newer one may.
    Unknown,
    /// It is not what its name and version promise.
    Unreadable,
    /// It does not fit its row.
    Refused,
    /// It follows a parked event.
    Follows,
}

impl Cause {
    const ALL: [Self; 4] = [
        Self::Unknown,
        Self::Unreadable,
        Self::Refused,
        Self::Follows,
    ];

    /// Its name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Follows => "follows",
        }
    }

    /// `None`: parked by a build that kept no cause.
    pub(crate) fn parse(name: Option<&str>) -> Option<Self> {
        let name = name?;
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// Whether what follows on the event's stream is parked with it.
    pub(crate) fn breaks_stream(self) -> bool {
        matches!(self, Self::Unknown | Self::Unreadable)
    }
}

/// An event that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) cause: Cause,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn follows() -> Self {
        Self {
            cause: Cause::Follows,
            reason: String::from(FOLLOWS),
        }
    }

    pub(crate) fn refused(reason: impl ToString) -> Self {
        Self {
            cause: Cause::Refused,
            reason: reason.to_string(),
        }
    }

    pub(crate) fn unreadable(reason: impl ToString) -> Self {
        Self {
            cause: Cause::Unreadable,
            reason: reason.to_string(),
        }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let cause = match error {
            DecodeError::UnknownType { .. } | DecodeError::UnknownVersion { .. } => Cause::Unknown,
            DecodeError::Malformed { .. } => Cause::Unreadable,
        };
        Self {
            cause,
            reason: error.to_string(),
        }
    }
}

/// An event that its view could not take; with it stops its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParkedRecord {
    pub(crate) key: Uuid,
    pub(crate) position: i64,
    pub(crate) event_type: String,
    pub(crate) schema_version: i16,
    pub(crate) refusal: Refusal,
}

/// Events that operators had left out, each with the key it is left out of.
pub(crate) type Skips = HashSet<(Position, Uuid)>;

/// What stands still, and what is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parking {
    /// Keys of rows that take no more events.
    pub(crate) keys: HashSet<Uuid>,
    /// Streams of which an event could not be read: nobody knows what the later ones are about.
    pub(crate) broken: HashSet<Uuid>,
    /// Events that are passed over.
    pub(crate) skips: Skips,
}

impl Parking {
    /// Whether an event is left out of a key.
    pub(crate) fn skips(&self, facts: &Facts<'_>, key: Uuid) -> bool {
        !self.skips.is_empty() && self.skips.contains(&(facts.position, key))
    }

    pub(crate) fn park(&mut self, key: Uuid, cause: Cause) {
        self.keys.insert(key);
        if cause.breaks_stream() {
            self.broken.insert(key);
        }
    }

    pub(crate) fn free(&mut self, key: Uuid) {
        self.keys.remove(&key);
        self.broken.remove(&key);
    }
}

impl FromIterator<(Uuid, bool)> for Parking {
    /// Keys, and whether the streams of that name are broken.
    fn from_iter<I: IntoIterator<Item = (Uuid, bool)>>(stored: I) -> Self {
        let mut parking = Self::default();
        for (key, broken) in stored {
            parking.keys.insert(key);
            if broken {
                parking.broken.insert(key);
            }
        }
        parking
    }
}

/// A key that stands still, as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedKey {
    /// The row that stands still, or the stream that cannot be read on.
    pub key: Uuid,
    /// How many events of it are parked.
    pub events: u64,
    /// The first of them.
    #[serde(flatten)]
    pub first: ParkedEvent,
}

/// A parked event, as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its type.
    pub event_type: String,
    /// Why it could not be taken, as a word; none if an older build parked it.
    pub cause: Option<Cause>,
    /// Why it could not be taken.
    pub reason: String,
    /// Which build could not take it.
    pub build: Option<String>,
}
