//! Reading your own writes from a view that is a moment behind the log.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use eventstore::{Checkpoint, Position, ReadError};
use projections::{View, WaitError};
use serde::Deserialize;
use uuid::Uuid;

use super::catalogue;
use super::outcome::read_failed;
use super::problem::Problem;
use super::state::Edge;
use super::views::query_failed;

/// Carries a place in the log from the answer of a command to a later read.
pub const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// How long a read waits for its view when the client does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(2);

/// Longest wait that a client may ask for; proxies give up soon after.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A client that comes again sooner finds the same.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// How long an answer of a command is kept back to say where the log is.
const PLACE_PATIENCE: Duration = Duration::from_secs(1);

/// What a read asks of its view.
#[derive(Debug)]
pub struct Freshness {
    at_least: Option<Seen>,
    wait: Duration,
}

/// What a client has seen already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// This event: only a log that holds it can be asked for it.
    Event(Checkpoint),
    /// So many events.
    Position(Position),
}

#[derive(Deserialize)]
struct AtLeast {
    #[serde(rename = "atLeast")]
    at_least: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Freshness {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<AtLeast>::from_request_parts(parts, state)
            .await
            .ok();
        let at_least = match (
            query.and_then(|Query(query)| query.at_least),
            parts.headers.get(&CONSISTENCY_TOKEN),
        ) {
            (Some(text), _) => Some(parse(&text).ok_or_else(|| {
                Problem::new(
                    &catalogue::INVALID_QUERY,
                    "atLeast is not a consistency token or a position.",
                )
            })?),
            (None, Some(value)) => Some(value.to_str().ok().and_then(parse).ok_or_else(|| {
                Problem::new(
                    &catalogue::INVALID_HEADER,
                    "Consistency-Token is not a token that this server gave out.",
                )
            })?),
            (None, None) => None,
        };
        Ok(Freshness {
            at_least,
            wait: preferred_wait(&parts.headers).unwrap_or(DEFAULT_WAIT),
        })
    }
}

impl Freshness {
    /// Waits until the row has what the client has seen already. One that stands still for an event that the client has seen
    /// will not come to it by waiting.
    pub async fn of_row(&self, edge: &Edge, view: View, key: Uuid) -> Result<(), Problem> {
        let Some(seen) = self.wait(edge, view).await? else {
            return Ok(());
        };
        let parked = edge.projections.parked_since(view, key).await;
        match parked.map_err(|error| query_failed(&error))? {
            Some(since) if since <= seen => {
                let detail = format!(
                    "This row of the view {view} stands still since position {since}; you have seen {seen}."
                );
                Err(Problem::new(&catalogue::VIEW_PARKED, detail))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the view has what the client has seen already.
    pub async fn of(&self, edge: &Edge, view: View) -> Result<(), Problem> {
        self.wait(edge, view).await.map(drop)
    }

    /// Waits, and gives back what the client has seen.
    async fn wait(&self, edge: &Edge, view: View) -> Result<Option<Position>, Problem> {
        let position = match self.at_least {
            Some(Seen::Position(position)) => position,
            Some(Seen::Event(checkpoint)) => {
                // Reads one row: positions alone would make an older copy of the log, or another one, look up to date.
                edge.store
                    .read_page(&checkpoint, 0)
                    .await
                    .map_err(|error| other_log(&error))?;
                checkpoint.position
            }
            None => return Ok(None),
        };
        match edge.projections.wait_until(view, position, self.wait).await {
            Ok(()) => Ok(Some(position)),
            Err(WaitError::Behind { at, wanted, .. }) => Err(behind(edge, view, at, wanted).await),
            Err(WaitError::Store(error)) => Err(query_failed(&error.into())),
        }
    }
}

/// How late the view is, and when it is worth another try: a view that is so late needs at least as long again.
async fn behind(edge: &Edge, view: View, at: Position, wanted: Position) -> Problem {
    let detail = format!("The view is at position {at}; you have seen {wanted}.");
    let problem = Problem::new(&catalogue::VIEW_BEHIND, detail);
    match edge.projections.status_of(view).await {
        Ok(status) => {
            let retry = Duration::try_from_secs_f64(status.lag_seconds.ceil());
            let retry = retry.unwrap_or(MAX_WAIT).clamp(SHORTEST_RETRY, MAX_WAIT);
            problem.lag(&status).retry_after(retry.as_secs())
        }
        // It is late all the same.
        Err(error) => {
            tracing::warn!(%error, "a view does not tell how late it is");
            problem
        }
    }
}

/// What a token that was given out by another log is answered.
pub(super) fn other_log(error: &ReadError) -> Problem {
    match error {
        ReadError::CheckpointMismatch { .. } => Problem::new(
            &catalogue::OTHER_LOG,
            "What the token stands for is not in this log.",
        ),
        other => read_failed(other),
    }
}

fn parse(text: &str) -> Option<Seen> {
    if let Ok(position) = text.parse::<i64>() {
        return (position >= 0).then_some(Seen::Position(Position(position)));
    }
    text.parse().ok().map(Seen::Event)
}

/// `Prefer: wait=<seconds>` (RFC 7240), among other preferences; cut to what is allowed.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds: Option<u64> = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.trim().parse().ok());
    Some(Duration::from_secs(seconds?).min(MAX_WAIT))
}

/// Gives every answer of a command that says no place in the log of its own the newest one: whoever carries it to a view sees
/// what the command has done, and perhaps a little more.
pub async fn tell_where(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    let tells = status.is_success() || status == StatusCode::CONFLICT;
    if tells && !response.headers().contains_key(CONSISTENCY_TOKEN) {
        match tokio::time::timeout(PLACE_PATIENCE, edge.newest()).await {
            Ok(Ok(newest)) => {
                let token = token(&newest).map(|token| (CONSISTENCY_TOKEN, token));
                response.headers_mut().extend(token);
            }
            // The command is done all the same.
            Ok(Err(error)) => tracing::warn!(%error, "an answer goes without a consistency token"),
            Err(_elapsed) => tracing::warn!(
                "an answer goes without a consistency token: the log does not answer"
            ),
        }
    }
    response
}

/// The header value for a place in the log.
#[must_use]
pub fn token(checkpoint: &Checkpoint) -> Option<HeaderValue> {
    HeaderValue::try_from(checkpoint.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preferred_wait_is_found_among_other_preferences_and_bounded() {
        let wait = |text: &str| {
            let value = HeaderValue::try_from(text).expect("a header value");
            preferred_wait(&HeaderMap::from_iter([(
                HeaderName::from_static("prefer"),
                value,
            )]))
        };
        assert_eq!(wait("respond-async, wait=7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("wait=600"), Some(MAX_WAIT));
        assert_eq!(wait("wait=soon"), None);
    }
}
