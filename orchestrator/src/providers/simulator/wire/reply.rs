//! From what was drawn for a call to what its client gets to see.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http_body_util::BodyExt;
use serde_json::Value;

use super::Front;
use super::socket::Cut;
use crate::providers::simulator::ledger::Port;
use crate::providers::simulator::lock;
use crate::providers::simulator::rules::{Fate, Kind, On};

/// After this long a client that waits for an answer which never comes is cut off.
const HANG: Duration = Duration::from_secs(60);

/// Between two bytes of a reply that drips, unless the rule says otherwise: a minute for an ordinary one.
const DRIP: Duration = Duration::from_millis(50);

/// Size of a huge reply: more than any cap, and no danger for whoever has none.
const HUGE: usize = 64 * 1024 * 1024;

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// It is answered.
    Answer(Response),
    /// The connection closes without an answer.
    Cut,
    /// Nothing ever comes.
    Hang,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Answer(response)
    }
}

/// How a provider words what any of them may have to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// The first call with this key is not through yet.
    pub(super) in_progress: fn() -> Response,
    /// Something broke inside.
    pub(super) broken: fn() -> Response,
}

/// Does the work in a task of its own, so that it goes on when the client has given up, and answers.
pub(super) async fn carry_out(
    cut: Cut,
    work: impl Future<Output = Reply> + Send + 'static,
) -> Response {
    match tokio::spawn(work).await {
        Ok(Reply::Answer(response)) => response,
        Ok(Reply::Hang) => {
            tokio::time::sleep(HANG).await;
            cut.now().await
        }
        Ok(Reply::Cut) | Err(_) => cut.now().await,
    }
}

impl Front {
    /// One call with whatever was drawn for it.
    pub(super) async fn with_faults<F: Future<Output = Reply>>(
        &self,
        (port, on, order): (Port, On, &str),
        manner: &Manner,
        work: impl FnOnce(Fate) -> F,
    ) -> Reply {
        let fate = self.draw(port, on, order);
        if fate.is(Kind::Down) {
            return Reply::Cut;
        }
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        if fate.is(Kind::DropBeforeCommit) {
            return Reply::Cut;
        }
        if fate.is(Kind::InProgress) {
            return (manner.in_progress)().into();
        }
        let reply = work(fate.clone()).await;
        // An answer may tell of other calls' effects as well; what it tells must outlive the process.
        let told = lock(&self.core.world).last_seq();
        let durable = self.core.ledger.synced(told).await;
        match reply {
            Reply::Answer(response) if durable => dress(&fate, response, manner).await,
            Reply::Answer(_) => Reply::Cut,
            other => other,
        }
    }
}

/// What is left of a good answer.
async fn dress(fate: &Fate, response: Response, manner: &Manner) -> Reply {
    let Some(fault) = &fate.fault else {
        return response.into();
    };
    match fault.kind {
        Kind::CommitThenDrop => Reply::Cut,
        Kind::ErrorAfterCommit => (manner.broken)().into(),
        Kind::Drip => drip(response, fault.delay.unwrap_or(DRIP)).await.into(),
        Kind::Huge => huge().into(),
        Kind::Garbage => (
            [(CONTENT_TYPE, "application/json")],
            &b"\x00\xff{\"status\":\"DO"[..],
        )
            .into_response()
            .into(),
        Kind::Html => (
            [(CONTENT_TYPE, "text/html; charset=utf-8")],
            "<!doctype html><html><head><title>Please wait</title></head><body>We will be back soon.</body></html>",
        )
            .into_response()
            .into(),
        _ => response.into(),
    }
}

/// The same answer, a byte at a time.
async fn drip(response: Response, pause: Duration) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let drops = stream::unfold((bytes, 0), move |(bytes, at)| async move {
        if at == bytes.len() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let drop = bytes.slice(at..=at);
        Some((Ok::<_, std::convert::Infallible>(drop), (bytes, at + 1)))
    });
    Response::from_parts(parts, Body::from_stream(drops))
}

/// JSON, as far as anyone reads.
fn huge() -> Response {
    const CHUNK: usize = 64 * 1024;
    let head = Bytes::from_static(b"{\"padding\":\"");
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let chunks = std::iter::once(head)
        .chain(std::iter::repeat_n(chunk, HUGE / CHUNK))
        .chain(std::iter::once(Bytes::from_static(b"\"}")));
    let body = Body::from_stream(stream::iter(chunks.map(Ok::<_, std::convert::Infallible>)));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// A JSON document.
pub(super) fn json(status: StatusCode, document: &Value) -> Response {
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        document.to_string(),
    )
        .into_response()
}
