//! Events before and after they are in the log.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::position::{Checkpoint, Position, Version};
use crate::stream::StreamId;

/// What a stream must look like for an append to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Anything.
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The last event of the stream has this version.
    At(Version),
}

impl Expected {
    /// The only version that satisfies this expectation, if there is just one.
    pub const fn version(self) -> Option<Version> {
        match self {
            Expected::Any => None,
            Expected::NoStream => Some(Version::ZERO),
            Expected::At(version) => Some(version),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Any => f.write_str("any version"),
            Expected::NoStream => f.write_str("no stream"),
            Expected::At(version) => write!(f, "version {version}"),
        }
    }
}

/// An event to be stored. The caller makes the id, which is how a lost reply can be told from a failure.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Unique id, made by the caller.
    pub event_id: Uuid,
    /// Name of the fact, such as `OrderPaid`.
    pub event_type: Cow<'static, str>,
    /// Version of the shape of `data`.
    pub schema_version: i16,
    /// The fact itself.
    pub data: Box<RawValue>,
    /// What is known about the fact: causation, correlation, actor.
    pub metadata: Box<RawValue>,
}

/// An event as the log holds it.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// Place in the log.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Place in that stream.
    pub version: Version,
    /// Id given by whoever appended it.
    pub event_id: Uuid,
    /// Name of the fact.
    pub event_type: Arc<str>,
    /// Version of the shape of `data`.
    pub schema_version: i16,
    /// The fact itself. Postgres keeps its meaning, not its spelling (key order, white space).
    pub data: Box<RawValue>,
    /// What is known about the fact.
    pub metadata: Box<RawValue>,
    /// When the log accepted it, by the log's clock. Never an order: use `position`.
    pub recorded_at: DateTime<Utc>,
}

impl RecordedEvent {
    /// The checkpoint of a reader that has seen everything up to and including this event.
    pub const fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            position: self.position,
            event_id: self.event_id,
        }
    }
}

/// Events for one stream and the condition under which they are accepted. Without events it is a condition only.
#[derive(Debug, Clone)]
pub struct StreamAppend {
    /// Where to.
    pub stream: StreamId,
    /// Under which condition.
    pub expected: Expected,
    /// What, in order.
    pub events: Vec<NewEvent>,
}

/// An append that is in the log, durably. Positions run from `first` to `last` in the order in which the streams and their
/// events were passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Position of the first event.
    pub first: Position,
    /// Position of the last event.
    pub last: Position,
    /// The version at which each [`StreamAppend`] left its stream, in order.
    pub versions: Vec<Version>,
    /// When, by the log's clock.
    pub recorded_at: DateTime<Utc>,
}

/// A page of the log read by position.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// The events that matched.
    pub events: Vec<RecordedEvent>,
    /// Where to go on: everything up to here has been examined, also when nothing matched.
    pub next: Position,
}
