//! The `Idempotency-Key` of a command.

use axum::http::{HeaderMap, HeaderName};

use super::catalogue;
use super::problem::Problem;

/// Marks an answer that was given before. Best effort across nodes: status and body are the same either way.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Longest key, as payment providers have it too.
const KEY_MAX: usize = 255;

/// The key of a request, if it has one.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong = |why: &str| {
        Problem::new(
            &catalogue::INVALID_HEADER,
            format!("Idempotency-Key {why}."),
        )
    };
    if values.next().is_some() {
        return Err(wrong("is there twice"));
    }
    let key = value.as_bytes();
    if key.is_empty() || key.len() > KEY_MAX || !key.iter().all(|byte| (b' '..=b'~').contains(byte))
    {
        return Err(wrong("must be 1 to 255 visible ASCII characters"));
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&[u8]]) -> Result<Option<String>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                "idempotency-key",
                HeaderValue::from_bytes(value).expect("a header value"),
            );
        }
        key(&headers)
    }

    #[test]
    fn a_key_is_visible_ascii_and_there_once() {
        assert_eq!(of(&[]).expect("none"), None);
        assert_eq!(
            of(&[b"shop 1/7"]).expect("a key").as_deref(),
            Some("shop 1/7")
        );
        assert!(of(&[b"a", b"b"]).is_err());
        assert!(of(&[b""]).is_err());
        assert!(of(&["k\u{fc}".as_bytes()]).is_err());
        assert!(of(&["k".repeat(256).as_bytes()]).is_err());
    }
}
