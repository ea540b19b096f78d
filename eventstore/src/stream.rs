//! Names of streams: a category and a uuid.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Longest category name. Keeps index rows short and stream names readable.
pub const CATEGORY_MAX_BYTES: usize = 32;

/// The kind of a stream, such as `order`: `[a-z][a-z0-9_]{0,31}`.
#[derive(Clone)]
pub struct Category(Name);

#[derive(Clone)]
enum Name {
    Static(&'static str),
    Shared(Arc<str>),
}

/// A stream or category name that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a stream name: expected a category ([a-z][a-z0-9_]*, at most 32 bytes), and `category-uuid` for a stream"
)]
pub struct InvalidName(pub String);

impl Category {
    /// A category known at compile time.
    ///
    /// # Panics
    /// On a name that is not a category, which in a `const` is a compile error.
    pub const fn from_static(name: &'static str) -> Self {
        assert!(is_category(name.as_bytes()), "not a category name");
        Category(Name::Static(name))
    }

    /// A category that came from outside.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        if is_category(name.as_bytes()) {
            Ok(Category(Name::Shared(Arc::from(name))))
        } else {
            Err(InvalidName(
                name.chars().take(CATEGORY_MAX_BYTES * 2).collect(),
            ))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Static(name) => name,
            Name::Shared(name) => name,
        }
    }
}

const fn is_category(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > CATEGORY_MAX_BYTES || !name[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 1;
    while at < name.len() {
        let byte = name[at];
        if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            return false;
        }
        at += 1;
    }
    true
}

impl PartialEq for Category {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Category {}
impl PartialOrd for Category {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Category {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}
impl Hash for Category {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
impl Borrow<str> for Category {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Category {
    type Err = InvalidName;
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Category::parse(name)
    }
}
impl Serialize for Category {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Category::parse(&name).map_err(serde::de::Error::custom)
    }
}

/// One stream: the events of one aggregate. Streams that share an `id` belong together and can be read at once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// What kind of aggregate.
    pub category: Category,
    /// Which one.
    pub id: Uuid,
}

impl StreamId {
    /// The stream of `id` in `category`.
    pub const fn new(category: Category, id: Uuid) -> Self {
        StreamId { category, id }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.category, self.id)
    }
}
impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for StreamId {
    type Err = InvalidName;
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName(name.chars().take(CATEGORY_MAX_BYTES * 3).collect());
        let (category, id) = name.split_once('-').ok_or_else(invalid)?;
        Ok(StreamId {
            category: Category::parse(category)?,
            id: Uuid::parse_str(id).map_err(|_| invalid())?,
        })
    }
}
impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_survives_its_name() {
        let stream = StreamId::new(Category::from_static("order_2"), Uuid::from_u128(7));
        assert_eq!(
            stream.to_string(),
            "order_2-00000000-0000-0000-0000-000000000007"
        );
        assert_eq!(stream.to_string().parse(), Ok(stream));
    }

    #[test]
    fn other_text_is_neither_a_category_nor_a_stream() {
        for name in [
            "",
            "Order",
            "2order",
            "_order",
            "order-x",
            "or der",
            "örder",
            "order\0",
            &"o".repeat(33),
        ] {
            assert!(Category::parse(name).is_err(), "{name}");
        }
        for name in [
            "order",
            "order-",
            "order-7",
            "-00000000-0000-0000-0000-000000000007",
        ] {
            assert!(name.parse::<StreamId>().is_err(), "{name}");
        }
        assert!(Category::parse(&"o".repeat(32)).is_ok());
    }
}
