//! What a view is: which events it wants, to which rows each belongs, and how a row takes an event.

use aggregates::Event;
use chrono::{DateTime, Utc};
use eventstore::{Position, RecordedEvent, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::table::{TableDef, Value};

/// A pure read model. Live running and rebuilding use exactly these functions, so both end with the
/// same rows.
pub trait Projection: Send + Sync + 'static {
    /// A row: facts of the log and nothing else, in particular nothing that depends on the present moment.
    type Row: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Where the rows are kept.
    const TABLE: &'static TableDef;

    /// The categories of streams this view reads. Events of others are skipped by name, before anything
    /// of them is parsed; every event of these is decoded, so that an unknown one is noticed.
    const CATEGORIES: &'static [&'static str];

    /// To how many rows one event may belong; one that belongs to more is parked. Lists count with it,
    /// so another number is another [`TableDef::version`].
    const ROWS_PER_EVENT: u16 = 1;

    /// The rows that the event belongs to: none, one, or several.
    fn keys(event: &Event, facts: &Facts<'_>) -> Keys;

    /// Takes the event into the row of one of its keys (`None`: there is no such row yet, or not any
    /// more). Called once for each key.
    ///
    /// An error must leave the row as it was: that key is parked with that row, and no other.
    fn apply(
        key: Uuid,
        row: &mut Option<Self::Row>,
        event: &Event,
        facts: &Facts<'_>,
    ) -> Result<(), ApplyError>;

    /// The row's values of [`TableDef::columns`], in their order.
    fn columns(row: &Self::Row) -> Vec<Value<'_>>;

    /// Whether the row will hardly change any more. A hint: a rebuild writes such rows early.
    fn is_settled(row: &Self::Row) -> bool;

    /// The row as it is stored. A view whose rows are written often may store less than it shows.
    fn to_doc(row: &Self::Row) -> serde_json::Result<String> {
        serde_json::to_string(row)
    }

    /// The row as its readers see it, where that is not all of it.
    fn shown(row: Self::Row) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(row)
    }

    /// The stored row.
    fn from_doc(doc: &str) -> serde_json::Result<Self::Row> {
        serde_json::from_str(doc)
    }
}

/// The rows that an event belongs to, each once. The usual one row costs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// It is not about any row of this view.
    #[default]
    None,
    /// One row.
    One(Uuid),
    /// Several rows; sorted, so that a key that was named twice is found.
    Many(Vec<Uuid>),
}

impl Keys {
    /// As a list.
    pub fn as_slice(&self) -> &[Uuid] {
        match self {
            Self::None => &[],
            Self::One(key) => std::slice::from_ref(key),
            Self::Many(keys) => keys,
        }
    }
}

impl From<Option<Uuid>> for Keys {
    fn from(key: Option<Uuid>) -> Self {
        key.map_or(Self::None, Self::One)
    }
}

impl FromIterator<Uuid> for Keys {
    fn from_iter<I: IntoIterator<Item = Uuid>>(keys: I) -> Self {
        let mut keys: Vec<Uuid> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        match *keys {
            [] => Self::None,
            [key] => Self::One(key),
            [..] => Self::Many(keys),
        }
    }
}

/// What the log says about an event beside the event itself.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its place in the log.
    pub position: Position,
    /// The uuid of its stream.
    pub stream: Uuid,
    /// Its place in its stream.
    pub version: Version,
    /// Its type's name.
    pub event_type: &'a str,
    /// When the log took it.
    pub recorded_at: DateTime<Utc>,
}

impl<'a> Facts<'a> {
    /// The facts of a recorded event.
    pub fn of(event: &'a RecordedEvent) -> Self {
        Self {
            position: event.position,
            stream: event.stream.id,
            version: event.version,
            event_type: &event.event_type,
            recorded_at: event.recorded_at,
        }
    }
}

/// The event does not fit the row. Parks the row's key.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The event needs a row that is not there.
    #[error("there is no row for it")]
    NoRow,
    /// The event makes a row that is there already.
    #[error("its row exists already")]
    RowExists,
    /// It is not an event of this view's categories: the record is on the wrong stream.
    #[error("it does not belong on its stream")]
    Foreign,
    /// The fold of the aggregate refuses it.
    #[error("{0}")]
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_named_twice_counts_once() {
        let [a, b] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        assert_eq!(Keys::from_iter([]), Keys::None);
        assert_eq!(Keys::from_iter([a, a]), Keys::One(a));
        assert_eq!(Keys::from_iter([b, a, b]).as_slice(), [a, b]);
    }
}
