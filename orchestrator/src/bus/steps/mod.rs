//! Steps that somebody else executes: a worker, in whatever language, that answers questions over NATS. The form of questions and
//! answers is in `examples/steps/schema.json`.

mod messenger;
pub mod wire;

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use chrono::Utc;
use serde::Serialize;

use super::connection::Broker;
pub use messenger::Messenger;
use wire::{Question, Reply};

/// Executes a step: `bookmarket.steps.<step>`.
pub const EXECUTE: &str = "bookmarket.steps";
/// Looks for what came of a step: `bookmarket.probes.<step>`.
pub const PROBE: &str = "bookmarket.probes";

/// An answer is a reference or a reason. One larger than this is no answer.
const REPLY_MAX: usize = 64 * 1024;

/// Why there is no answer.
enum Unanswered {
    /// The question surely reached nobody.
    NotSent(String),
    /// It may have.
    Unknown(String),
}

/// A question about a step, before it has a deadline.
struct Asked<T> {
    subject: &'static str,
    step: &'static str,
    key: String,
    order_id: Option<String>,
    input: T,
}

/// Asks a worker and waits for the answer, at most for `limit`.
async fn ask<T: Serialize>(
    broker: &Broker,
    asked: Asked<T>,
    limit: Duration,
) -> Result<Reply, Unanswered> {
    let unknown = |reason: &str| Unanswered::Unknown(reason.to_owned());
    // Otherwise the question would wait in the client and go out when nobody waits for its answer any more.
    if !broker.is_connected() {
        return Err(Unanswered::NotSent("the broker is away".to_owned()));
    }
    let question = Question {
        step: asked.step,
        key: asked.key,
        order_id: asked.order_id,
        deadline: Utc::now() + limit,
        timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        input: asked.input,
    };
    let body = serde_json::to_vec(&question)
        .map_err(|error| Unanswered::NotSent(format!("the question cannot be written: {error}")))?;
    let request = async_nats::Request::new()
        .payload(body.into())
        .timeout(Some(limit));
    let subject = format!("{}.{}", asked.subject, asked.step);
    let answer = broker.client().send_request(subject, request).await;
    let message = answer.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => {
            Unanswered::NotSent(format!("no worker executes {}", asked.step))
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            Unanswered::NotSent(error.to_string())
        }
        RequestErrorKind::TimedOut => unknown("the worker did not answer in time"),
        RequestErrorKind::Other => Unanswered::Unknown(error.to_string()),
    })?;
    if message.payload.len() > REPLY_MAX {
        return Err(unknown("the worker's answer is too large"));
    }
    // What it says instead may be anything, also personal: it is not repeated.
    serde_json::from_slice(&message.payload)
        .map_err(|_| unknown("the worker's answer makes no sense"))
}
