//! Where an event comes from, in its metadata: what it belongs to, after which event it was decided, and which trace of its
//! caller's it is part of.

use eventstore::StreamAppend;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use uuid::Uuid;

const CORRELATION: &str = "correlationId";
const CAUSATION: &str = "causationId";
const TRACE: &str = "traceparent";

/// The `traceparent` of W3C Trace Context, version 00.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// Nothing where the text is not of that form: it may come from anybody.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |part: &str| {
            part.bytes()
                .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        };
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, parent, flags] = parts[..] else {
            return None;
        };
        let lengths = [version.len(), trace.len(), parent.len(), flags.len()];
        let named = [trace, parent]
            .iter()
            .all(|id| id.bytes().any(|it| it != b'0'));
        let sound =
            version == "00" && lengths == [2, 32, 16, 2] && parts.iter().all(|it| is_hex(it));
        (sound && named).then(|| Self(text.to_owned()))
    }
}

/// What is known of what comes next on a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The last event of the stream.
    pub last: Option<Uuid>,
    /// The trace that the stream's first event is part of, and with it all that follows.
    pub trace: Option<TraceParent>,
}

impl Lineage {
    /// Goes on to the next event of the stream.
    pub fn follow(&mut self, event: Uuid, metadata: &RawValue) {
        if self.last.replace(event).is_none() {
            self.trace = trace_of(metadata);
        }
    }

    /// Says where the events of an append come from, in the order in which they are given: those of the domain and, last, those of
    /// the stream itself. What is decided on one stream is caused by the event that it was decided after; at a beginning, which no
    /// event of the stream comes before, the domain's own come first.
    pub(crate) fn trace_back(&self, streams: &mut [StreamAppend]) {
        let Some((own, domain)) = streams.split_last_mut() else {
            return;
        };
        let mut trace = self.trace.clone();
        let mut cause = self.last;
        for event in domain.iter_mut().flat_map(|stream| &mut stream.events) {
            trace = trace.or_else(|| trace_of(&event.metadata));
            event.metadata = add(&event.metadata, self.last, trace.as_ref());
            if self.last.is_none() {
                cause = Some(event.event_id);
            }
        }
        for event in &mut own.events {
            event.metadata = add(&event.metadata, cause, trace.as_ref());
            cause = Some(event.event_id);
        }
    }
}

/// What every event says of itself: the id under which everything that belongs together is found.
pub(crate) fn metadata(correlation: Uuid) -> Box<RawValue> {
    let json = format!(r#"{{"{CORRELATION}":"{correlation}"}}"#);
    RawValue::from_string(json).expect("a uuid between quotes is JSON")
}

/// The events of a request that was part of a trace.
pub(crate) fn traced(mut append: StreamAppend, trace: Option<&TraceParent>) -> StreamAppend {
    for event in &mut append.events {
        event.metadata = add(&event.metadata, None, trace);
    }
    append
}

/// The events of a command that was decided after that event.
pub(crate) fn caused(mut append: StreamAppend, by: Option<Uuid>) -> StreamAppend {
    for event in &mut append.events {
        event.metadata = add(&event.metadata, by, None);
    }
    append
}

fn add(metadata: &RawValue, cause: Option<Uuid>, trace: Option<&TraceParent>) -> Box<RawValue> {
    let mut fields: Map<String, Value> = serde_json::from_str(metadata.get()).unwrap_or_default();
    if let Some(cause) = cause {
        fields.insert(CAUSATION.to_owned(), cause.to_string().into());
    }
    if let Some(TraceParent(trace)) = trace {
        fields.insert(TRACE.to_owned(), trace.clone().into());
    }
    to_raw_value(&fields).expect("texts are plain JSON")
}

fn trace_of(metadata: &RawValue) -> Option<TraceParent> {
    let fields: Map<String, Value> = serde_json::from_str(metadata.get()).ok()?;
    TraceParent::parse(fields.get(TRACE)?.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_is_a_traceparent_is_taken_for_one() {
        assert!(TraceParent::parse(GOOD).is_some());
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "Hong Gil-dong",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_known_already_stays() {
        let before = RawValue::from_string(r#"{"correlationId":"c","more":1}"#.to_owned());
        let cause = Uuid::from_u128(7);
        let trace = TraceParent::parse(GOOD);
        let after = add(&before.expect("JSON"), Some(cause), trace.as_ref());
        let fields: Map<String, Value> = serde_json::from_str(after.get()).expect("JSON");
        assert_eq!(fields["correlationId"], "c");
        assert_eq!(fields["more"], 1);
        assert_eq!(fields["causationId"], cause.to_string());
        assert_eq!(trace_of(&after), trace);
    }
}
