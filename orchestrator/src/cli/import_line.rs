//! One line of an import: what it asks for and what became of it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value};

use super::client::{Answer, Client, ClientError, Refusal};

/// Attempts at one request. With the server's pauses this rides out a restart of half a minute.
const ATTEMPTS: u32 = 30;

/// Longest pause between two attempts, whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Header that marks an answer as a repeat of an earlier one.
const REPLAYED: &str = "idempotent-replayed";

/// An order of the file.
#[derive(Debug)]
pub(super) struct Line {
    order: Value,
    key: Option<String>,
    cancel: bool,
}

/// What became of a line. Several may be true: an order that was placed and then canceled.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// The order is new.
    pub placed: bool,
    /// The order was there already.
    pub repeated: bool,
    /// Its payment was still open when the server answered.
    pub pending: bool,
    /// Its payment was declined.
    pub declined: bool,
    /// It is canceled, or will be.
    pub canceled: bool,
    /// Why the line could not be carried out.
    pub failure: Option<String>,
}

impl Line {
    /// Understands a line; the server checks the order itself.
    pub(super) fn parse(line: &[u8]) -> Result<Line, String> {
        // Repairing it would store a name that nobody has.
        let text = std::str::from_utf8(line)
            .map_err(|error| format!("not UTF-8 after {} bytes", error.valid_up_to()))?;
        let value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let Value::Object(mut object) = value else {
            return Err("not a JSON object".to_owned());
        };
        let cancel = match object.remove("outcome") {
            None | Some(Value::Null) => false,
            Some(Value::String(word)) if word == "Cancelled" || word == "Canceled" => true,
            Some(other) => return Err(format!("/outcome must be Canceled or absent, not {other}")),
        };
        let key = idempotency_key(&object)?;
        Ok(Line {
            order: Value::Object(object),
            key,
            cancel,
        })
    }
}

fn idempotency_key(object: &Map<String, Value>) -> Result<Option<String>, String> {
    match object.get("externalId") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if !id.trim().is_empty() => Ok(Some(crate::http::hal::escape(id))),
        Some(_) => Err("/externalId must be a string that is not empty".to_owned()),
    }
}

/// Places the order of a line and cancels it if the line says so.
pub(super) async fn place(client: &Client, line: &Line) -> Fate {
    let mut fate = Fate::default();
    match patiently(line.key.is_some(), || post(client, line)).await {
        Ok(posted) => {
            fate.repeated = posted.replayed;
            fate.placed = !posted.replayed;
            fate.pending = posted.answer.status == StatusCode::ACCEPTED;
            if line.cancel {
                cancel(client, &posted.answer, &mut fate).await;
            }
        }
        Err(ClientError::Refused(refusal)) if refusal.is("payment-declined") => {
            fate.declined = true
        }
        Err(error) => fate.failure = Some(error.to_string()),
    }
    fate
}

struct Posted {
    answer: Answer,
    replayed: bool,
}

async fn post(client: &Client, line: &Line) -> Result<Posted, ClientError> {
    let mut request = client.request(Method::POST, "/orders").json(&line.order);
    if let Some(key) = &line.key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = client.send(request).await?;
    Ok(Posted {
        replayed: answer.headers.contains_key(REPLAYED),
        answer,
    })
}

async fn cancel(client: &Client, placed: &Answer, fate: &mut Fate) {
    let Some(order) = placed.body.get("orderId").and_then(Value::as_str) else {
        fate.failure = Some("placed, but the answer names no order to cancel".to_owned());
        return;
    };
    let path = format!("/orders/{order}");
    match patiently(true, || client.send(client.request(Method::DELETE, &path))).await {
        Ok(_) => fate.canceled = true,
        Err(error) => fate.failure = Some(format!("placed, but not canceled: {error}")),
    }
}

/// Repeats a request while the server says that it is only busy. Without an idempotency key only answers that
/// promise that nothing was stored are worth a repeat.
async fn patiently<T>(
    safe_to_repeat: bool,
    ask: impl AsyncFn() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    for _ in 1..ATTEMPTS {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let pause = match &error {
            ClientError::Refused(refusal) => busy(refusal, safe_to_repeat),
            ClientError::Unreachable { .. } if safe_to_repeat => Some(Duration::from_secs(1)),
            _ => None,
        };
        match pause {
            Some(pause) => tokio::time::sleep(pause.min(PAUSE_MAX)).await,
            None => return Err(error),
        }
    }
    ask().await
}

fn busy(refusal: &Refusal, safe_to_repeat: bool) -> Option<Duration> {
    let nothing_stored = refusal.is("overloaded") || refusal.is("payment-unavailable");
    let in_doubt = ["idempotency-key-in-progress", "command-in-doubt"];
    let in_doubt = refusal.status == 503 || in_doubt.iter().any(|name| refusal.is(name));
    let wait = refusal.retry_after.unwrap_or(1).max(1);
    (nothing_stored || (safe_to_repeat && in_doubt)).then(|| Duration::from_secs(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_and_a_key_are_taken_from_the_line() {
        let line = Line::parse(br#"{"externalId":"a b/1","outcome":"Cancelled","customerId":"7"}"#)
            .expect("a line");
        assert!(line.cancel);
        assert_eq!(line.key.as_deref(), Some("a%20b%2F1"));
        assert_eq!(
            line.order,
            serde_json::json!({"externalId": "a b/1", "customerId": "7"})
        );
    }

    #[test]
    fn lines_that_are_no_orders_are_refused_with_a_reason() {
        for bad in ["{", "7", r#"{"outcome":"Lost"}"#, r#"{"externalId":7}"#] {
            assert!(Line::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let latin_1 = Line::parse(b"{\"customerId\":\"Ren\xe9\"}").expect_err("not UTF-8");
        assert_eq!(latin_1, "not UTF-8 after 18 bytes");
    }

    #[test]
    fn only_answers_that_stored_nothing_are_repeated_without_a_key() {
        let refusal = |name: &str| Refusal {
            r#type: format!("/problems/{name}"),
            status: 503,
            ..Refusal::default()
        };
        assert!(busy(&refusal("overloaded"), false).is_some());
        assert!(busy(&refusal("store-unavailable"), false).is_none());
        assert!(busy(&refusal("store-unavailable"), true).is_some());
        let in_doubt = Refusal {
            status: 409,
            ..refusal("command-in-doubt")
        };
        assert!(busy(&in_doubt, false).is_none());
        assert!(busy(&in_doubt, true).is_some());
    }
}
