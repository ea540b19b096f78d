//! Collections in the HAL form that the old services answer with.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Rows of a page when the client names no number.
pub const DEFAULT_SIZE: usize = 20;

/// Most rows of one page.
pub const MAX_SIZE: usize = 500;

/// One page of a collection under `/{name}`.
///
/// `query` holds the filters of the request, which the links repeat.
pub fn page<T: Serialize>(
    name: &str,
    query: &[(&str, &str)],
    size: usize,
    rows: &[T],
    next: Option<&str>,
) -> Value {
    let mut links = Map::new();
    links.insert("self".to_owned(), link(name, query, size, None));
    if let Some(cursor) = next {
        links.insert("next".to_owned(), link(name, query, size, Some(cursor)));
    }
    json!({
        "_embedded": { name: rows },
        "_links": links,
        "page": { "size": size, "count": rows.len(), "next": next },
    })
}

fn link(name: &str, query: &[(&str, &str)], size: usize, cursor: Option<&str>) -> Value {
    let size = size.to_string();
    let fixed = [("size", Some(size.as_str())), ("cursor", cursor)];
    let parameters: Vec<String> = query
        .iter()
        .map(|(key, value)| (*key, Some(*value)))
        .chain(fixed)
        .filter_map(|(key, value)| Some(format!("{key}={}", escape(value?))))
        .collect();
    json!({ "href": format!("/{name}?{}", parameters.join("&")) })
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
#[must_use]
pub fn escape(text: &str) -> String {
    use std::fmt::Write;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut escaped, byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    escaped.push(char::from(byte))
                }
                _ => {
                    // Writing to a String cannot fail.
                    let _ = write!(escaped, "%{byte:02X}");
                }
            }
            escaped
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_links_to_itself_and_to_the_next_with_its_filters() {
        let page = page("orders", &[("customerId", "a b&c")], 2, &[1, 2], Some("x="));
        assert_eq!(page["_embedded"]["orders"], json!([1, 2]));
        assert_eq!(
            page["_links"]["self"]["href"],
            "/orders?customerId=a%20b%26c&size=2"
        );
        assert_eq!(
            page["_links"]["next"]["href"],
            "/orders?customerId=a%20b%26c&size=2&cursor=x%3D"
        );
    }
}
