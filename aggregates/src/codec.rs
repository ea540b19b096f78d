//! Between events and what the log stores: name, schema version, JSON.
//!
//! Writing is always the newest version. Reading takes every version ever written: older ones go
//! through the upcasters first.

mod upcast;

use std::ops::Range;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::delivery::DeliveryEvent;
use crate::event::{Event, Head};
use crate::kakao::KakaoEvent;
use crate::order::OrderEvent;
use crate::payment::PaymentEvent;
use crate::projection::ProjectionEvent;
use crate::saga;
use crate::subject::SubjectEvent;
use crate::webhook::WebhookReceived;

pub use upcast::{BrokenChain, Upcaster};

/// Why writing an event cannot fail.
const WRITABLE: &str = "an event is made of text, numbers and lists, which JSON can always hold";

/// Saga events have stayed in their first version.
const SAGA_VERSION: i16 = 1;

/// From each version that was ever written to the one after it. None so far: every event is still
/// in its first version.
const UPCASTERS: &[Upcaster] = &[];

/// An event as the log stores it.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The event's name.
    pub event_type: &'static str,
    /// The version of its JSON.
    pub schema_version: i16,
    /// The JSON: the old services' fields first.
    pub data: Box<RawValue>,
}

/// A record that this build cannot read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer build, or not by us.
    #[error("no event is called {event_type:?}")]
    UnknownType {
        /// The name in the record.
        event_type: String,
    },
    /// Written by a newer build.
    #[error("{event_type} has version {version}, this build knows 1 to {newest}")]
    UnknownVersion {
        /// The name in the record.
        event_type: String,
        /// The version in the record.
        version: i16,
        /// The newest version this build writes.
        newest: i16,
    },
    /// The JSON lacks a field or holds something else in it.
    #[error("the data of {event_type} version {version} does not have its shape")]
    Malformed {
        /// The name in the record.
        event_type: String,
        /// The version in the record.
        version: i16,
        /// What is wrong with it, and where.
        source: serde_json::Error,
    },
}

/// Name and newest schema version of every event.
pub fn types() -> impl Iterator<Item = (&'static str, i16)> {
    let domain = [
        OrderEvent::TYPES,
        PaymentEvent::TYPES,
        DeliveryEvent::TYPES,
        KakaoEvent::TYPES,
        SubjectEvent::TYPES,
        WebhookReceived::TYPES,
        ProjectionEvent::TYPES,
    ];
    let saga = saga::TYPES.iter().map(|name| (*name, SAGA_VERSION));
    domain.into_iter().flatten().copied().chain(saga)
}

/// Whether this build reads events of this name and version. That a record of them has its shape is
/// another question.
pub fn knows(event_type: &str, schema_version: i16) -> bool {
    types().any(|(name, newest)| name == event_type && (1..=newest).contains(&schema_version))
}

/// Writes an event in its newest version.
pub fn encode(event: &Event) -> Encoded {
    let (schema_version, data) = match event {
        Event::Order(event) => event.encode(),
        Event::Payment(event) => event.encode(),
        Event::Delivery(event) => event.encode(),
        Event::Kakao(event) => event.encode(),
        Event::Subject(event) => event.encode(),
        Event::Webhook(event) => event.encode().expect(WRITABLE),
        Event::Projection(event) => event.encode().expect(WRITABLE),
        Event::Saga(event) => (SAGA_VERSION, saga::encode(event).expect(WRITABLE)),
    };
    Encoded {
        event_type: event.name(),
        schema_version,
        data,
    }
}

/// One JSON object of the head's fields and the body's.
pub(crate) fn splice(head: &Head<'_>, body: &impl Serialize) -> Box<RawValue> {
    let mut json = Vec::with_capacity(512);
    serde_json::to_writer(&mut json, head).expect(WRITABLE);
    let seam = json.len() - 1;
    serde_json::to_writer(&mut json, body).expect(WRITABLE);
    if json[seam + 1..] == *b"{}" {
        json.truncate(seam + 1);
    } else {
        json.remove(seam);
        json[seam] = b',';
    }
    let json = String::from_utf8(json).expect("serde_json writes UTF-8");
    RawValue::from_string(json).expect("two objects joined at their braces are an object")
}

/// Reads a record of any version that was ever written.
pub fn decode(
    event_type: &str,
    schema_version: i16,
    data: &RawValue,
) -> Result<Event, DecodeError> {
    let unknown = || DecodeError::UnknownType {
        event_type: event_type.to_owned(),
    };
    let malformed = |source| DecodeError::Malformed {
        event_type: event_type.to_owned(),
        version: schema_version,
        source,
    };
    let (_, newest) = types()
        .find(|(name, _)| *name == event_type)
        .ok_or_else(unknown)?;
    if schema_version == newest {
        return read(event_type, data)
            .ok_or_else(unknown)?
            .map_err(malformed);
    }
    if !(1..newest).contains(&schema_version) {
        return Err(DecodeError::UnknownVersion {
            event_type: event_type.to_owned(),
            version: schema_version,
            newest,
        });
    }
    let lifted = lifted(UPCASTERS, event_type, schema_version..newest, data).map_err(malformed)?;
    read(event_type, &lifted)
        .ok_or_else(unknown)?
        .map_err(malformed)
}

/// The data of an old version as the newest would have been written.
fn lifted(
    upcasters: &[Upcaster],
    event_type: &str,
    versions: Range<i16>,
    data: &RawValue,
) -> serde_json::Result<Box<RawValue>> {
    let old = serde_json::from_str(data.get())?;
    to_raw_value(&upcast::lift(upcasters, event_type, versions, old))
}

/// Whether every version that was ever written can be read. Asked at start-up, and by a test.
pub fn check() -> Result<(), BrokenChain> {
    upcast::check(&types().collect::<Vec<_>>(), UPCASTERS)
}

/// Reads the newest version.
fn read(event_type: &str, data: &RawValue) -> Option<serde_json::Result<Event>> {
    fn wrap<E: Into<Event>>(
        read: Option<serde_json::Result<E>>,
    ) -> Option<serde_json::Result<Event>> {
        read.map(|event| event.map(Into::into))
    }
    let json = data.get();
    wrap(OrderEvent::read(event_type, json))
        .or_else(|| wrap(PaymentEvent::read(event_type, json)))
        .or_else(|| wrap(DeliveryEvent::read(event_type, json)))
        .or_else(|| wrap(KakaoEvent::read(event_type, json)))
        .or_else(|| wrap(SubjectEvent::read(event_type, json)))
        .or_else(|| wrap(WebhookReceived::read(event_type, json)))
        .or_else(|| wrap(ProjectionEvent::read(event_type, json)))
        .or_else(|| wrap(saga::decode(event_type, data)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_of_an_old_version_is_lifted_and_read() {
        const RENAME: Upcaster = Upcaster {
            event_type: "DeliveryHeld",
            from: 1,
            lift: |mut data| {
                data["customerId"] = data["customer"].take();
                data
            },
        };
        let old = json!({
            "orderId": "00000000-0000-0000-0000-000000000007",
            "customer": "33",
            "occurredAt": "2026-11-22T09:30:00.000Z",
        });
        let old = to_raw_value(&old).expect("JSON");
        let new = lifted(&[RENAME], "DeliveryHeld", 1..2, &old).expect("JSON");
        let event = read("DeliveryHeld", &new)
            .expect("a known name")
            .expect("the newest version");
        assert_eq!(event.head().expect("a domain event").customer_id, "33");
        assert!(read("DeliveryHeld", &old).expect("a known name").is_err());
    }
}
