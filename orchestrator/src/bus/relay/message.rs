//! An event as the broker's clients see it: its data is the body, everything else is in headers.

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use bytes::Bytes;
use chrono::SecondsFormat;
use eventstore::{Checkpoint, Position, RecordedEvent};
use serde::Deserialize;

/// The stream that holds the events.
pub const STREAM: &str = "BOOKMARKET_EVENTS";
/// What an event's subject begins with; its category and type follow.
pub const SUBJECT_PREFIX: &str = "bookmarket.events";
/// Place of the event in the log; the same as the sequence of its message in the stream.
pub const POSITION: &str = "bookmarket-position";
/// Grows whenever another process takes over the relaying. After that the broker may still take, from the one before, what was on its
/// way to it and is exactly the next event: so it may go down along the stream, and says nothing about order or repetition.
pub const RELAY: &str = "bookmarket-relay";

/// What is known about an event, of that what other systems understand. Unknown fields are left out.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Known {
    correlation_id: Option<String>,
    causation_id: Option<String>,
    traceparent: Option<String>,
}

/// A message to be published.
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// The message of an event, which the broker takes only at the event's own place. Where a stranger has taken the place of the event
/// before it, it is taken nevertheless: that is found by looking back at what was under way. To have the broker compare the id of the message
/// before as well (`Nats-Expected-Last-Msg-Id`) costs a cluster of 2.15.1 a server now and then: one that has just caught up may know
/// another last id, refuses what the others have taken, and falls behind until it is started again.
pub(super) fn outgoing(event: &RecordedEvent, token: i64) -> Outgoing {
    let category = event.stream.category.as_str();
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, event.event_id.to_string());
    headers.insert(NATS_EXPECTED_STREAM, STREAM);
    headers.insert(
        NATS_EXPECTED_LAST_SEQUENCE,
        (event.position.0 - 1).to_string(),
    );
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", event.event_id.to_string());
    headers.insert("ce-type", &*event.event_type);
    headers.insert("ce-source", format!("/bookmarket/{category}"));
    headers.insert("ce-subject", event.stream.to_string());
    let time = event
        .recorded_at
        .to_rfc3339_opts(SecondsFormat::Millis, true);
    headers.insert("ce-time", time);
    headers.insert("content-type", "application/json");
    headers.insert(POSITION, event.position.to_string());
    headers.insert("bookmarket-version", event.version.to_string());
    headers.insert("bookmarket-schema", event.schema_version.to_string());
    headers.insert(RELAY, token.to_string());
    let known: Known = serde_json::from_str(event.metadata.get()).unwrap_or_default();
    let told = [
        ("ce-correlationid", known.correlation_id),
        ("ce-causationid", known.causation_id),
        ("traceparent", known.traceparent),
    ];
    for (name, value) in told {
        // A line break in a header would be the start of another one.
        if let Some(value) = value.filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            headers.insert(name, value);
        }
    }
    Outgoing {
        subject: format!("{SUBJECT_PREFIX}.{category}.{}", event.event_type),
        headers,
        payload: Bytes::from(event.data.get().to_owned()),
    }
}

/// Which event a message is, by its headers. `None`: nothing that a relay has published.
pub(super) fn checkpoint_of(headers: &HeaderMap) -> Option<Checkpoint> {
    let text = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
    Some(Checkpoint {
        position: Position(text(POSITION)?.parse().ok()?),
        event_id: text("Nats-Msg-Id")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use eventstore::{Category, StreamId, Version};
    use serde_json::value::RawValue;
    use uuid::Uuid;

    use super::*;

    fn event(metadata: &str) -> RecordedEvent {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        RecordedEvent {
            position: Position(42),
            stream: StreamId::new(Category::from_static("payment"), Uuid::from_u128(1)),
            version: Version(1),
            event_id: Uuid::from_u128(2),
            event_type: "Paid".into(),
            schema_version: 1,
            data: raw(r#"{"eventType":"Paid"}"#),
            metadata: raw(metadata),
            recorded_at: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        }
    }

    fn header<'a>(message: &'a Outgoing, name: &str) -> Option<&'a str> {
        message
            .headers
            .get(name)
            .map(async_nats::HeaderValue::as_str)
    }

    #[test]
    fn the_body_is_the_events_data_and_the_headers_say_the_rest() {
        let metadata = r#"{"correlationId":"c-1","causationId":"c-0","traceparent":"00-ab-cd-01","actor":"operator Kim"}"#;
        let message = outgoing(&event(metadata), 7);
        assert_eq!(message.subject, "bookmarket.events.payment.Paid");
        assert_eq!(&*message.payload, br#"{"eventType":"Paid"}"#);
        let id = Uuid::from_u128(2).to_string();
        let stream = format!("payment-{}", Uuid::from_u128(1));
        let expected = [
            ("Nats-Msg-Id", id.as_str()),
            ("Nats-Expected-Last-Sequence", "41"),
            ("Nats-Expected-Stream", STREAM),
            ("ce-specversion", "1.0"),
            ("ce-id", id.as_str()),
            ("ce-type", "Paid"),
            ("ce-source", "/bookmarket/payment"),
            ("ce-subject", stream.as_str()),
            ("ce-time", "2023-11-14T22:13:20.000Z"),
            ("ce-correlationid", "c-1"),
            ("ce-causationid", "c-0"),
            ("traceparent", "00-ab-cd-01"),
            (POSITION, "42"),
            ("bookmarket-version", "1"),
            (RELAY, "7"),
        ];
        for (name, value) in expected {
            assert_eq!(header(&message, name), Some(value), "{name}");
        }
        assert_eq!(
            checkpoint_of(&message.headers),
            Some(event(metadata).checkpoint())
        );
    }

    /// Relays of two releases continue each other's stream, and clients read on.
    #[test]
    fn a_message_is_written_and_read_as_in_the_release_before() {
        let golden = include_str!("../golden/event.message");
        let metadata = r#"{"correlationId":"c-1","causationId":"c-0","traceparent":"00-ab-cd-01"}"#;
        let message = outgoing(&event(metadata), 7);
        let headers = message.headers.iter();
        let mut lines: Vec<String> = headers
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")))
            .collect();
        lines.sort();
        let body = std::str::from_utf8(&message.payload).expect("text");
        let written = format!("{}\n{}\n\n{body}\n", message.subject, lines.join("\n"));
        assert_eq!(written, golden);
        let mut headers = HeaderMap::new();
        let lines = golden.lines().skip(1).take_while(|line| !line.is_empty());
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.insert(name, value);
        }
        assert_eq!(headers, message.headers);
        assert_eq!(checkpoint_of(&headers), Some(event(metadata).checkpoint()));
    }

    #[test]
    fn what_is_known_about_an_event_cannot_smuggle_in_a_header() {
        let message = outgoing(&event(r#"{"correlationId":"a\r\nNats-Rollup: all"}"#), 7);
        assert_eq!(header(&message, "ce-correlationid"), None);
        assert_eq!(header(&message, "Nats-Rollup"), None);
    }

    #[test]
    fn a_message_of_somebody_else_is_no_event() {
        assert_eq!(checkpoint_of(&HeaderMap::new()), None);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", "hello");
        headers.insert(POSITION, "1");
        assert_eq!(checkpoint_of(&headers), None);
    }
}
