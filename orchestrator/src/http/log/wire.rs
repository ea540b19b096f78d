//! An event as clients see it.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use eventstore::RecordedEvent;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::auth::Principal;
use crate::http::told;

/// One event of the log
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct WireEvent<'a> {
    /// Place in the whole log: 1, 2, 3, ...
    position: i64,
    /// The stream it is on
    #[schema(example = "order-8c417d30-db8a-5865-8636-d75e940be874")]
    stream: String,
    /// Place in its stream: 1, 2, 3, ...
    version: i64,
    /// The version of the form that `data` has
    schema_version: i16,
    /// Its own id
    event_id: Uuid,
    /// What happened
    #[schema(example = "OrderPaid")]
    r#type: &'a str,
    /// The facts; personal data in it is ciphertext
    #[schema(value_type = Object)]
    data: Cow<'a, RawValue>,
    /// What caused it
    #[schema(value_type = Object)]
    metadata: Cow<'a, RawValue>,
    /// When it was stored
    #[serde(serialize_with = "millis")]
    recorded_at: DateTime<Utc>,
}

impl<'a> From<&'a RecordedEvent> for WireEvent<'a> {
    fn from(event: &'a RecordedEvent) -> WireEvent<'a> {
        WireEvent {
            position: event.position.0,
            stream: event.stream.to_string(),
            version: event.version.0,
            schema_version: event.schema_version,
            event_id: event.event_id,
            r#type: &event.event_type,
            data: Cow::Borrowed(&event.data),
            metadata: Cow::Borrowed(&event.metadata),
            recorded_at: event.recorded_at,
        }
    }
}

impl<'a> WireEvent<'a> {
    /// As this reader is told of it.
    pub(super) fn told(reader: &Principal, event: &'a RecordedEvent) -> WireEvent<'a> {
        let whole = WireEvent::from(event);
        if told::reads_all(reader) {
            return whole;
        }
        WireEvent {
            data: Cow::Owned(told::data(&event.event_type, &event.data)),
            metadata: Cow::Owned(told::metadata(&event.metadata)),
            ..whole
        }
    }
}

/// One page of the log
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage<'a> {
    /// The events, in the order of the log
    pub events: Vec<WireEvent<'a>>,
    /// Pass it as `after` to get what follows, even if this page is empty
    pub next: i64,
}

fn millis<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}
