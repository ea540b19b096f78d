//! Reads JSON in which every field is there once. Of a doubled one others take the first or the last, so that a check in front of
//! this server and the server itself could see two different orders.

use std::fmt;

use aggregates::field::pointer_token;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Doubled fields that are told of; whoever sends more has seen enough.
const DOUBLED_MAX: usize = 20;

/// The document, and the pointers of the fields that are there more than once.
pub(super) fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut doubled = Vec::new();
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let document = Once {
        place: &Place::Root,
        doubled: &mut doubled,
    }
    .deserialize(&mut source)?;
    source.end()?;
    Ok((document, doubled))
}

/// Where in the document; a chain on the stack, so that a good document pays nothing for it.
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(parent, name) => write!(f, "{parent}/{}", pointer_token(name)),
            Self::Item(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// Reads one value and notes what is doubled in it.
struct Once<'a> {
    place: &'a Place<'a>,
    doubled: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Once<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = Place::Item(self.place, list.len());
            let item = items.next_element_seed(Once {
                place: &place,
                doubled: &mut *self.doubled,
            })?;
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let place = Place::Field(self.place, &name);
            if object.contains_key(&name) && self.doubled.len() < DOUBLED_MAX {
                self.doubled.push(place.to_string());
            }
            let value = fields.next_value_seed(Once {
                place: &place,
                doubled: &mut *self.doubled,
            })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_doubled_field_is_found_with_its_pointer() {
        let text = r#"{"a": 1, "b": [{"x/y": 1, "x/y": 2}], "a": {"c": null, "c": null}}"#;
        let (_, doubled) = parse(text.as_bytes()).expect("JSON");
        assert_eq!(doubled, ["/b/0/x~1y", "/a", "/a/c"]);
    }

    #[test]
    fn what_is_there_once_is_read_as_by_everybody() {
        let text = r#"{"a": [1, -2, 0.5, 1e3, 18446744073709551615, "\u00fc", true, null, {}], "b": {"a": []}}"#;
        let (document, doubled) = parse(text.as_bytes()).expect("JSON");
        let expected: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!((document, doubled), (expected, vec![]));
        for bad in ["", "{", "[1,]", "{} {}", "nul", &"[".repeat(100_000)] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:.9}");
        }
    }

    #[test]
    fn more_doubled_fields_than_anybody_reads_are_counted_up_to_a_limit() {
        let text = format!("{{{}\"z\":0}}", "\"a\":0,".repeat(1_000));
        let (_, doubled) = parse(text.as_bytes()).expect("JSON");
        assert_eq!(doubled.len(), DOUBLED_MAX);
    }
}
