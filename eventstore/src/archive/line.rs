//! The lines of an archive.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Timelike as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::RecordedEvent;
use crate::invalid;
use crate::keys::SubjectKey;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::stream::StreamId;

/// What the first line begins with.
const FORMAT: &str = "eventstore-archive";
/// The version of the format that this build writes, and the newest one that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Which log the archive is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: Uuid,
    pub(super) last: Position,
    pub(super) keys: bool,
}

/// Why a first line is no header that this build reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Foreign,
    Newer(u32),
}

/// Read first and alone: what else is in a header of another version is not ours to know.
#[derive(Deserialize)]
struct Magic<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    version: u32,
    epoch: Uuid,
    first: Position,
    last: Position,
    keys: bool,
}

impl Header {
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let line = HeaderLine {
            format: FORMAT.into(),
            version: FORMAT_VERSION,
            epoch: self.epoch,
            first: Position(1),
            last: self.last,
            keys: self.keys,
        };
        finish(out, &line)
    }

    pub(super) fn read(line: &[u8]) -> Result<Header, NoHeader> {
        let magic: Magic<'_> = serde_json::from_slice(line).map_err(|_| NoHeader::Foreign)?;
        if magic.format != FORMAT {
            return Err(NoHeader::Foreign);
        }
        if magic.version > FORMAT_VERSION {
            return Err(NoHeader::Newer(magic.version));
        }
        let line: HeaderLine<'_> = serde_json::from_slice(line).map_err(|_| NoHeader::Foreign)?;
        Ok(Header {
            epoch: line.epoch,
            last: line.last,
            keys: line.keys,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventLine<'a> {
    position: Position,
    stream: StreamId,
    version: Version,
    event_id: Uuid,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    schema_version: i16,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(borrow)]
    recorded_at: Cow<'a, str>,
}

pub(super) fn write_event(out: &mut Vec<u8>, event: &RecordedEvent) -> serde_json::Result<()> {
    let (data, metadata) = (on_one_line(&event.data)?, on_one_line(&event.metadata)?);
    let line = EventLine {
        position: event.position,
        stream: event.stream.clone(),
        version: event.version,
        event_id: event.event_id,
        event_type: Cow::Borrowed(&event.event_type),
        schema_version: event.schema_version,
        data: &data,
        metadata: &metadata,
        recorded_at: event
            .recorded_at
            .to_rfc3339_opts(SecondsFormat::Micros, true)
            .into(),
    };
    finish(out, &line)
}

/// Between two tokens JSON allows line breaks, of which none means anything; within a string it allows none.
fn on_one_line(json: &RawValue) -> serde_json::Result<Cow<'_, RawValue>> {
    if json.get().contains(['\n', '\r']) {
        let text = json.get().replace(['\n', '\r'], " ");
        return RawValue::from_string(text).map(Cow::Owned);
    }
    Ok(Cow::Borrowed(json))
}

/// The event of a line, or what is wrong with the line.
pub(super) fn read_event(line: &[u8], names: &mut Names) -> Result<RecordedEvent, String> {
    let line: EventLine<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    invalid::check_recorded(&line.event_type, line.data, line.metadata)
        .map_err(|e| e.to_string())?;
    let StreamId { category, id } = line.stream;
    let category = names
        .category(category.as_str())
        .map_err(|e| e.to_string())?;
    Ok(RecordedEvent {
        position: line.position,
        stream: StreamId { category, id },
        version: line.version,
        event_id: line.event_id,
        event_type: names.event_type(&line.event_type),
        schema_version: line.schema_version,
        data: line.data.to_owned(),
        metadata: line.metadata.to_owned(),
        recorded_at: time(&line.recorded_at)?,
    })
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    const MICROSECOND: u32 = 1_000;
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|e| format!("recordedAt: {e}"))?
        .to_utc();
    if time.nanosecond() % MICROSECOND != 0 {
        return Err("recordedAt is finer than a log can keep".to_owned());
    }
    Ok(time)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyLine<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
    key_id: Uuid,
    #[serde(borrow)]
    wrapped: Cow<'a, str>,
}

pub(super) fn write_key(
    out: &mut Vec<u8>,
    subject: &str,
    key: &SubjectKey,
) -> serde_json::Result<()> {
    let line = KeyLine {
        subject: subject.into(),
        key_id: key.id,
        wrapped: STANDARD.encode(&key.wrapped).into(),
    };
    finish(out, &line)
}

pub(super) fn read_key(line: &[u8]) -> Result<(String, SubjectKey), String> {
    let line: KeyLine<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let wrapped = STANDARD
        .decode(line.wrapped.as_bytes())
        .map_err(|e| format!("wrapped: {e}"))?;
    let key = SubjectKey {
        id: line.key_id,
        wrapped,
    };
    Ok((line.subject.into_owned(), key))
}

/// What the archive comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trailer {
    pub(super) events: i64,
    pub(super) keys: u64,
    /// Of all lines before.
    pub(super) sha256: String,
    /// Of what the events say.
    pub(super) content: String,
}

impl Trailer {
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        finish(out, self)
    }

    pub(super) fn read(line: &[u8]) -> Result<Trailer, String> {
        serde_json::from_slice(line).map_err(|e| e.to_string())
    }
}

/// What a line is, by its first field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Event,
    Key,
    Trailer,
}

impl Kind {
    pub(super) fn of(line: &[u8]) -> Option<Kind> {
        let kinds = [
            (&br#"{"position":"#[..], Kind::Event),
            (br#"{"subject":"#, Kind::Key),
            (br#"{"events":"#, Kind::Trailer),
        ];
        kinds
            .into_iter()
            .find(|(start, _)| line.starts_with(start))
            .map(|(_, kind)| kind)
    }
}

fn finish(out: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> RecordedEvent {
        RecordedEvent {
            position: Position(7),
            stream: "order-00000000-0000-0000-0000-000000000007"
                .parse()
                .expect("a stream"),
            version: Version(3),
            event_id: Uuid::from_u128(9),
            event_type: "Ordered".into(),
            schema_version: 2,
            data: RawValue::from_string(data.to_owned()).expect("JSON"),
            metadata: RawValue::from_string("{}".to_owned()).expect("JSON"),
            recorded_at: DateTime::from_timestamp_micros(1_795_000_000_000_001).expect("a time"),
        }
    }

    #[test]
    fn an_event_survives_its_line_to_the_byte() {
        let event = event(r#"{ "b" : 1.50, "a":"\u00e9\n", "a":1e2}"#);
        let mut line = Vec::new();
        write_event(&mut line, &event).expect("written");
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(Kind::of(&line), Some(Kind::Event));
        let back = read_event(&line, &mut Names::default()).expect("read");
        assert_eq!(format!("{back:?}"), format!("{event:?}"));
    }

    #[test]
    fn a_line_break_between_two_tokens_becomes_a_space() {
        let mut line = Vec::new();
        write_event(&mut line, &event("{\r\n\"a\":\n1}")).expect("written");
        let back = read_event(&line, &mut Names::default()).expect("read");
        assert_eq!(back.data.get(), r#"{  "a": 1}"#);
    }

    #[test]
    fn a_line_that_no_log_could_have_written_is_refused_with_what_is_wrong() {
        let mut line = Vec::new();
        write_event(&mut line, &event(r#"{"qty":1}"#)).expect("written");
        let line = String::from_utf8(line).expect("text");
        for (old, new, says) in [
            ("Ordered", "Or dered", "event type"),
            ("order-", "Order-", "stream name"),
            (r#""qty":1"#, r#""qty":"\u0000""#, "U+0000"),
            ("000001Z", "0000015Z", "recordedAt"),
            ("\"position\":7", "\"position\":\"7\"", "invalid type"),
            ("\"version\"", "\"extra\":1,\"version\"", "unknown field"),
        ] {
            let line = line.replace(old, new);
            let refused = read_event(line.as_bytes(), &mut Names::default()).expect_err("refused");
            assert!(refused.contains(says), "{refused}");
        }
    }
}
