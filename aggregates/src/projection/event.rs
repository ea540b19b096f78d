//! What operators do about a view, recorded on `projection-P`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// What is parked is to be taken once more, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedRetried {
    /// The view.
    pub view: String,
    /// The key; none: all that are parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Uuid>,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    #[serde(
        serialize_with = "crate::instant::serialize",
        deserialize_with = "crate::instant::deserialize"
    )]
    pub at: DateTime<Utc>,
}

/// The first parked event of a key is left out for ever, and what follows it is to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedSkipped {
    /// The view.
    pub view: String,
    /// The key.
    pub key: Uuid,
    /// The place in the log of the event that is left out.
    pub position: i64,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    #[serde(
        serialize_with = "crate::instant::serialize",
        deserialize_with = "crate::instant::deserialize"
    )]
    pub at: DateTime<Utc>,
}

/// The view stands still until it is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionPaused {
    /// The view.
    pub view: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    #[serde(
        serialize_with = "crate::instant::serialize",
        deserialize_with = "crate::instant::deserialize"
    )]
    pub at: DateTime<Utc>,
}

/// The view goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionResumed {
    /// The view.
    pub view: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    #[serde(
        serialize_with = "crate::instant::serialize",
        deserialize_with = "crate::instant::deserialize"
    )]
    pub at: DateTime<Utc>,
}

/// What operators do about a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectionEvent {
    /// See [`ParkedRetried`].
    Retried(ParkedRetried),
    /// See [`ParkedSkipped`].
    Skipped(ParkedSkipped),
    /// See [`ProjectionPaused`].
    Paused(ProjectionPaused),
    /// See [`ProjectionResumed`].
    Resumed(ProjectionResumed),
}

const RETRIED: &str = "ParkedRetried";
const SKIPPED: &str = "ParkedSkipped";
const PAUSED: &str = "ProjectionPaused";
const RESUMED: &str = "ProjectionResumed";

impl ProjectionEvent {
    /// Name and newest schema version of each.
    pub const TYPES: &'static [(&'static str, i16)] =
        &[(RETRIED, 1), (SKIPPED, 1), (PAUSED, 1), (RESUMED, 1)];

    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retried(_) => RETRIED,
            Self::Skipped(_) => SKIPPED,
            Self::Paused(_) => PAUSED,
            Self::Resumed(_) => RESUMED,
        }
    }

    /// When it happened.
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Retried(event) => event.at,
            Self::Skipped(event) => event.at,
            Self::Paused(event) => event.at,
            Self::Resumed(event) => event.at,
        }
    }

    pub(crate) fn encode(&self) -> Result<(i16, Box<RawValue>), serde_json::Error> {
        let data = match self {
            Self::Retried(event) => to_raw_value(event),
            Self::Skipped(event) => to_raw_value(event),
            Self::Paused(event) => to_raw_value(event),
            Self::Resumed(event) => to_raw_value(event),
        };
        Ok((1, data?))
    }

    /// Reads the newest version; `None` if the name is of no event here.
    pub(crate) fn read(name: &str, json: &str) -> Option<serde_json::Result<Self>> {
        match name {
            RETRIED => Some(serde_json::from_str(json).map(Self::Retried)),
            SKIPPED => Some(serde_json::from_str(json).map(Self::Skipped)),
            PAUSED => Some(serde_json::from_str(json).map(Self::Paused)),
            RESUMED => Some(serde_json::from_str(json).map(Self::Resumed)),
            _ => None,
        }
    }
}
