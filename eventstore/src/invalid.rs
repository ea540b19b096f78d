//! What can be stored. Everything that a database would refuse or silently change is refused here first, so that one bad value can
//! never spoil the batch it would have travelled in.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::event::{Expected, NewEvent, StreamAppend};

/// Largest `data` of one event. Larger things belong in a file store, with a reference in the event.
pub const DATA_MAX_BYTES: usize = 1024 * 1024;
/// Largest `metadata` of one event: a handful of ids and names.
pub const METADATA_MAX_BYTES: usize = 64 * 1024;
/// Longest event type.
pub const TYPE_MAX_BYTES: usize = 100;
/// Most events in one append; more would hold up everybody else's commit.
pub const EVENTS_MAX: usize = 1_000;
/// Most streams in one append.
pub const STREAMS_MAX: usize = 100;
/// Largest append over all its events.
pub const APPEND_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting of a JSON value: the limit of `serde_json` readers.
pub const JSON_MAX_DEPTH: usize = 127;
/// Largest exponent of a JSON number. Postgres writes numbers out in full, so `1e99999` would become 100 kB.
pub const JSON_MAX_EXPONENT: u32 = 400;
/// Most digits of a JSON number, again because Postgres has a limit and no number that means anything comes near it.
pub const JSON_MAX_DIGITS: usize = 400;
/// Most characters of a number that a database has written out: its digits, as many zeros as its exponent says, and a point.
const WRITTEN_OUT_MAX_DIGITS: usize = JSON_MAX_DIGITS + JSON_MAX_EXPONENT as usize + 2;
/// Cost of an event beside its payload, when sizes are summed up.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// Why an append can never be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// The append has no event.
    #[error("it has no event")]
    Empty,
    /// Too many events in one append.
    #[error("it has {0} events, at most {EVENTS_MAX} are allowed")]
    TooManyEvents(usize),
    /// Too many streams in one append.
    #[error("it touches {0} streams, at most {STREAMS_MAX} are allowed")]
    TooManyStreams(usize),
    /// All events together are too large.
    #[error("it has {0} bytes, at most {APPEND_MAX_BYTES} are allowed")]
    AppendTooLarge(usize),
    /// One stream is named twice in one append.
    #[error("stream {0} appears twice")]
    DuplicateStream(String),
    /// One event id is used twice in one append.
    #[error("event id {0} appears twice")]
    DuplicateEvent(uuid::Uuid),
    /// An expected version below zero.
    #[error("expected version {0} is negative")]
    NegativeVersion(i64),
    /// An entry without events that expects nothing in particular has no meaning.
    #[error("stream {0} gets no event and is expected to be anything")]
    NothingExpected(String),
    /// The type is empty, too long, or has characters that are not letters, digits, `_`, `.` or `-`.
    #[error(
        "`{0}` is not an event type: 1 to {TYPE_MAX_BYTES} ASCII letters, digits, `_`, `.`, `-`"
    )]
    Type(String),
    /// `data` is too large.
    #[error("data of {event_type} has {bytes} bytes, at most {DATA_MAX_BYTES} are allowed")]
    DataTooLarge {
        /// Which event.
        event_type: String,
        /// How large.
        bytes: usize,
    },
    /// `metadata` is too large.
    #[error("metadata of {event_type} has {bytes} bytes, at most {METADATA_MAX_BYTES} are allowed")]
    MetadataTooLarge {
        /// Which event.
        event_type: String,
        /// How large.
        bytes: usize,
    },
    /// A string holds U+0000, which no database text can.
    #[error("{event_type} holds the character U+0000")]
    Nul {
        /// Which event.
        event_type: String,
    },
    /// A string holds half of a surrogate pair, which is not Unicode text.
    #[error("{event_type} holds a lone surrogate")]
    LoneSurrogate {
        /// Which event.
        event_type: String,
    },
    /// A JSON value is nested too deeply.
    #[error("{event_type} is nested deeper than {JSON_MAX_DEPTH} levels")]
    TooDeep {
        /// Which event.
        event_type: String,
    },
    /// A number is outside every sensible range.
    #[error("{event_type} holds a number outside the range that can be stored")]
    Number {
        /// Which event.
        event_type: String,
    },
    /// The database refused the values of this append for a reason not foreseen here.
    #[error("the database refused it (SQLSTATE {sqlstate})")]
    Refused {
        /// The database's code.
        sqlstate: String,
    },
}

/// Checks an append and gives its size.
pub(crate) fn check(streams: &[StreamAppend]) -> Result<usize, InvalidEvent> {
    if streams.len() > STREAMS_MAX {
        return Err(InvalidEvent::TooManyStreams(streams.len()));
    }
    let count: usize = streams.iter().map(|s| s.events.len()).sum();
    match count {
        0 => return Err(InvalidEvent::Empty),
        1..=EVENTS_MAX => {}
        _ => return Err(InvalidEvent::TooManyEvents(count)),
    }
    check_distinct(streams, count)?;
    let mut bytes = 0;
    for stream in streams {
        if let Some(version) = stream.expected.version().filter(|v| v.0 < 0) {
            return Err(InvalidEvent::NegativeVersion(version.0));
        }
        if stream.events.is_empty() && stream.expected == Expected::Any {
            return Err(InvalidEvent::NothingExpected(stream.stream.to_string()));
        }
        for event in &stream.events {
            bytes += check_event(event)?;
        }
    }
    if bytes > APPEND_MAX_BYTES {
        return Err(InvalidEvent::AppendTooLarge(bytes));
    }
    Ok(bytes)
}

fn check_distinct(streams: &[StreamAppend], count: usize) -> Result<(), InvalidEvent> {
    if streams.len() > 1 {
        let mut seen = HashSet::with_capacity(streams.len());
        if let Some(twice) = streams.iter().find(|s| !seen.insert(&s.stream)) {
            return Err(InvalidEvent::DuplicateStream(twice.stream.to_string()));
        }
    }
    if count > 1 {
        let mut seen = HashSet::with_capacity(count);
        let mut ids = streams.iter().flat_map(|s| &s.events).map(|e| e.event_id);
        if let Some(twice) = ids.find(|id| !seen.insert(*id)) {
            return Err(InvalidEvent::DuplicateEvent(twice));
        }
    }
    Ok(())
}

/// Checks what an event that another log has held says. A database may have spelled its JSON at greater length than it was
/// appended in: with spaces, and with numbers written out. So its size is not looked at.
pub(crate) fn check_recorded(
    event_type: &str,
    data: &RawValue,
    metadata: &RawValue,
) -> Result<(), InvalidEvent> {
    check_type(event_type)?;
    for json in [data, metadata] {
        check_json(json.get().as_bytes(), WRITTEN_OUT_MAX_DIGITS)
            .map_err(|flaw| flaw.of(event_type.to_owned()))?;
    }
    Ok(())
}

fn check_event(event: &NewEvent) -> Result<usize, InvalidEvent> {
    check_type(&event.event_type)?;
    let event_type = || event.event_type.to_string();
    let (data, metadata) = (event.data.get(), event.metadata.get());
    if data.len() > DATA_MAX_BYTES {
        return Err(InvalidEvent::DataTooLarge {
            event_type: event_type(),
            bytes: data.len(),
        });
    }
    if metadata.len() > METADATA_MAX_BYTES {
        return Err(InvalidEvent::MetadataTooLarge {
            event_type: event_type(),
            bytes: metadata.len(),
        });
    }
    for json in [data, metadata] {
        check_json(json.as_bytes(), JSON_MAX_DIGITS).map_err(|flaw| flaw.of(event_type()))?;
    }
    Ok(data.len() + metadata.len() + EVENT_OVERHEAD_BYTES)
}

fn check_type(event_type: &str) -> Result<(), InvalidEvent> {
    let name = event_type.as_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if name.is_empty() || name.len() > TYPE_MAX_BYTES || !name.iter().all(plain) {
        return Err(InvalidEvent::Type(
            event_type.chars().take(TYPE_MAX_BYTES).collect(),
        ));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Nul,
    LoneSurrogate,
    TooDeep,
    Number,
}

impl Flaw {
    fn of(self, event_type: String) -> InvalidEvent {
        match self {
            Flaw::Nul => InvalidEvent::Nul { event_type },
            Flaw::LoneSurrogate => InvalidEvent::LoneSurrogate { event_type },
            Flaw::TooDeep => InvalidEvent::TooDeep { event_type },
            Flaw::Number => InvalidEvent::Number { event_type },
        }
    }
}

/// Looks through text that is known to be JSON for what JSON allows and a database does not.
fn check_json(json: &[u8], max_digits: usize) -> Result<(), Flaw> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => at = check_string(json, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_MAX_DEPTH {
                    return Err(Flaw::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => at = check_digits(json, at, max_digits)?,
            b'e' | b'E' => check_exponent(&json[at + 1..])?,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Checks the digits that start at `at`, a fraction included, and gives the place of the last one.
fn check_digits(json: &[u8], at: usize, max_digits: usize) -> Result<usize, Flaw> {
    let digits = json[at..]
        .iter()
        .take_while(|b| matches!(b, b'0'..=b'9' | b'.'))
        .count();
    if digits > max_digits {
        return Err(Flaw::Number);
    }
    Ok(at + digits - 1)
}

/// Checks the string that starts at `at` and gives the place of its closing quote.
fn check_string(json: &[u8], mut at: usize) -> Result<usize, Flaw> {
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return Ok(at),
            b'\\' if json.get(at + 1) == Some(&b'u') => at = check_escape(json, at)?,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Ok(at)
}

/// Checks the `\uXXXX` at `at`, with its second half if it is a pair, and gives the place after it.
fn check_escape(json: &[u8], at: usize) -> Result<usize, Flaw> {
    const ESCAPE: usize = 6;
    match code_unit(json, at) {
        Some(0) => Err(Flaw::Nul),
        Some(0xD800..=0xDBFF) => match code_unit(json, at + ESCAPE) {
            Some(0xDC00..=0xDFFF) => Ok(at + 2 * ESCAPE),
            _ => Err(Flaw::LoneSurrogate),
        },
        Some(0xDC00..=0xDFFF) | None => Err(Flaw::LoneSurrogate),
        Some(_) => Ok(at + ESCAPE),
    }
}

fn code_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Checks what follows an `e`. The `e` of `true` and `false` is followed by no digit and passes.
fn check_exponent(rest: &[u8]) -> Result<(), Flaw> {
    let digits = rest
        .strip_prefix(b"+")
        .or_else(|| rest.strip_prefix(b"-"))
        .unwrap_or(rest);
    let mut exponent = 0_u32;
    for byte in digits.iter().take_while(|b| b.is_ascii_digit()) {
        exponent = exponent
            .saturating_mul(10)
            .saturating_add(u32::from(byte - b'0'));
    }
    if exponent > JSON_MAX_EXPONENT {
        Err(Flaw::Number)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn flaw(json: &str) -> Option<Flaw> {
        serde_json::value::RawValue::from_string(json.to_owned()).expect("JSON");
        check_json(json.as_bytes(), JSON_MAX_DIGITS).err()
    }

    #[test]
    fn ordinary_json_passes() {
        for json in [
            r#"{"a":[1,2.5,-3e10,true,false,null],"b":"\"quoted\\ \u00e9 \ud83d\ude00"}"#,
            r#""""#,
            "12",
            r#"{"zone":"e999999"}"#,
            r#""\\u0000""#,
        ] {
            assert_eq!(flaw(json), None, "{json}");
        }
    }

    #[test]
    fn what_a_database_cannot_hold_is_found() {
        assert_eq!(flaw(r#"{"a":"x\u0000y"}"#), Some(Flaw::Nul));
        assert_eq!(flaw(r#"{"\u0000":1}"#), Some(Flaw::Nul));
        assert_eq!(flaw(r#""\ud83d""#), Some(Flaw::LoneSurrogate));
        assert_eq!(flaw(r#""\ud83d\u0041""#), Some(Flaw::LoneSurrogate));
        assert_eq!(flaw(r#""\ude00 and on""#), Some(Flaw::LoneSurrogate));
        assert_eq!(flaw("[1E+200000]"), Some(Flaw::Number));
        assert_eq!(flaw(&"9".repeat(140_000)), Some(Flaw::Number));
        assert_eq!(
            flaw(&format!("{}{}", "[".repeat(128), "]".repeat(128))),
            Some(Flaw::TooDeep)
        );
    }
}
