//! Reading your own writes from a view that is a moment behind the log.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use eventstore::{Checkpoint, Position};
use projections::{View, WaitError};
use serde::Deserialize;

use super::catalogue;
use super::outcome::store_unavailable;
use super::problem::Problem;
use super::state::Edge;

/// Carries a place in the log from the answer of a command to a later read.
pub const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// How long a read waits for its view when the client does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(2);

/// Longest wait that a client may ask for; proxies give up soon after.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What a read asks of its view.
#[derive(Debug)]
pub struct Freshness {
    at_least: Option<Position>,
    wait: Duration,
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
            wait: preferred_wait(&parts.headers),
        })
    }
}

impl Freshness {
    /// Waits until the view has what the client has seen already.
    pub async fn of(&self, edge: &Edge, view: View) -> Result<(), Problem> {
        let Some(position) = self.at_least else {
            return Ok(());
        };
        edge.projections
            .wait_until(view, position, self.wait)
            .await
            .map_err(|error| match error {
                WaitError::Behind { at, wanted, .. } => {
                    let detail = format!("The view is at position {at}; you have seen {wanted}.");
                    Problem::new(&catalogue::VIEW_BEHIND, detail)
                }
                other => store_unavailable(&other),
            })
    }
}

fn parse(text: &str) -> Option<Position> {
    if let Ok(position) = text.parse::<i64>() {
        return (position >= 0).then_some(Position(position));
    }
    text.parse::<Checkpoint>()
        .ok()
        .map(|checkpoint| checkpoint.position)
}

/// `Prefer: wait=<seconds>` (RFC 7240), among other preferences.
fn preferred_wait(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.trim().parse().ok());
    seconds
        .map_or(DEFAULT_WAIT, Duration::from_secs)
        .min(MAX_WAIT)
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
        assert_eq!(wait("respond-async, wait=7"), Duration::from_secs(7));
        assert_eq!(wait("wait=600"), MAX_WAIT);
        assert_eq!(wait("wait=soon"), DEFAULT_WAIT);
    }
}
