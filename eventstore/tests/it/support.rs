//! What the checks share.

use std::borrow::Cow;

use eventstore::{Category, Expected, NewEvent, StreamAppend, StreamId};
use serde_json::value::RawValue;
use uuid::Uuid;

pub(crate) const ORDER: Category = Category::from_static("order");
pub(crate) const PAYMENT: Category = Category::from_static("payment");

pub(crate) fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

pub(crate) fn event(event_type: &'static str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: Cow::Borrowed(event_type),
        schema_version: 1,
        data: json(r#"{"orderId":"o-1","qty":2}"#),
        metadata: json(r#"{"actor":"test"}"#),
    }
}

pub(crate) fn order() -> StreamId {
    StreamId::new(ORDER, Uuid::now_v7())
}

pub(crate) fn to(stream: &StreamId, expected: Expected, count: usize) -> StreamAppend {
    let events = (0..count).map(|_| event("Ordered")).collect();
    StreamAppend {
        stream: stream.clone(),
        expected,
        events,
    }
}
