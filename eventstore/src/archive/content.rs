//! What events say, whatever the spelling of their JSON: Postgres keeps neither the order of keys nor white space nor exponents.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde_json::value::RawValue;

use super::sums::hex;
use crate::event::RecordedEvent;

/// A running SHA-256 over what events say.
#[derive(Clone)]
pub(super) struct Content {
    sum: digest::Context,
    spelled: Vec<u8>,
}

impl Content {
    pub(super) fn new() -> Self {
        Content {
            sum: digest::Context::new(&digest::SHA256),
            spelled: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, event: &RecordedEvent) {
        self.spelled.clear();
        let frame = format!(
            "{} {} {} {} {} {} {}\n",
            event.position,
            event.stream,
            event.version,
            event.event_id,
            event.event_type,
            event.schema_version,
            event.recorded_at.timestamp_micros(),
        );
        self.spelled.extend(frame.into_bytes());
        for json in [&event.data, &event.metadata] {
            spell(json.get(), &mut self.spelled);
            self.spelled.push(b'\n');
        }
        self.sum.update(&self.spelled);
    }

    pub(super) fn hex(&self) -> String {
        hex(self.sum.clone().finish())
    }
}

/// Whether two events are the same fact at the same place.
pub(super) fn same(one: &RecordedEvent, other: &RecordedEvent) -> bool {
    one.checkpoint() == other.checkpoint()
        && (&one.stream, one.version) == (&other.stream, other.version)
        && (&one.event_type, one.schema_version) == (&other.event_type, other.schema_version)
        && one.recorded_at == other.recorded_at
        && same_json(&one.data, &other.data)
        && same_json(&one.metadata, &other.metadata)
}

fn same_json(one: &RawValue, other: &RawValue) -> bool {
    let spelled = |json: &RawValue| {
        let mut out = Vec::new();
        spell(json.get(), &mut out);
        out
    };
    one.get() == other.get() || spelled(one) == spelled(other)
}

/// Writes JSON in the one way in which everything that means the same is the same: keys sorted, of two equal keys the last one,
/// no white space, as few escapes as possible, numbers without exponents. As everywhere in SQL, 1.0 is not spelled like 1.
fn spell(json: &str, out: &mut Vec<u8>) {
    let json = json.trim_ascii();
    let spelled = match json.as_bytes().first() {
        Some(b'{') => spell_object(json, out),
        Some(b'[') => spell_array(json, out),
        Some(b'"') if json.contains('\\') => spell_string(json, out),
        Some(b'-' | b'0'..=b'9') => {
            out.extend_from_slice(number(json).as_bytes());
            Ok(())
        }
        _ => {
            out.extend_from_slice(json.as_bytes());
            Ok(())
        }
    };
    if spelled.is_err() {
        // No log takes a string that is not Unicode. Where one has it all the same, it stands for itself.
        out.extend_from_slice(json.as_bytes());
    }
}

fn spell_object(json: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
    out.push(b'{');
    for (nth, (key, value)) in fields.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key)?;
        out.push(b':');
        spell(value.get(), out);
    }
    out.push(b'}');
    Ok(())
}

fn spell_array(json: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let items: Vec<&RawValue> = serde_json::from_str(json)?;
    out.push(b'[');
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        spell(item.get(), out);
    }
    out.push(b']');
    Ok(())
}

fn spell_string(json: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let text: String = serde_json::from_str(json)?;
    serde_json::to_writer(&mut *out, &text)
}

/// A number written out as Postgres does it, which keeps the zeros after the point but neither exponents nor a minus before zero.
fn number(text: &str) -> Cow<'_, str> {
    if !text.starts_with('-') && !text.contains(['e', 'E']) {
        return Cow::Borrowed(text);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i32>() else {
        return Cow::Borrowed(text);
    };
    let digits = format!("{whole}{fraction}");
    // Digits before the point; negative: zeros between the point and the first digit.
    let point = i32::try_from(whole.len())
        .unwrap_or(i32::MAX)
        .saturating_add(exponent);
    let point_at = usize::try_from(point).unwrap_or(0);
    let padded = if point < 0 {
        format!(
            "{}{digits}",
            "0".repeat(point.unsigned_abs().try_into().unwrap_or(usize::MAX))
        )
    } else {
        format!("{digits:0<point_at$}")
    };
    let (whole, fraction) = padded.split_at(point_at);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let is_zero = padded.bytes().all(|digit| digit == b'0');
    let sign = if is_zero { "" } else { sign };
    Cow::Owned(if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(json: &str) -> String {
        let mut out = Vec::new();
        spell(json, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_means_the_same_is_spelled_the_same() {
        for (json, wanted) in [
            (
                r#" {"b" : 1, "a": [ true , null ]} "#,
                r#"{"a":[true,null],"b":1}"#,
            ),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#""\u00e9\/\u001F\"""#, r#""é/\u001f\"""#),
            (r#""é""#, r#""é""#),
            (r#"{"\u0061":{}}"#, r#"{"a":{}}"#),
            ("1.50", "1.50"),
            ("-0.0", "0.0"),
            ("1.50e1", "15.0"),
            ("15e-3", "0.015"),
            ("-2E+3", "-2000"),
            ("0e5", "0"),
            ("1234.5e-1", "123.45"),
            ("0.001e1", "0.01"),
            ("0.001e3", "1"),
        ] {
            assert_eq!(spelled(json), wanted, "{json}");
        }
        assert_ne!(spelled("1.0"), spelled("1"));
        assert_ne!(spelled(r#""1""#), spelled("1"));
    }
}
