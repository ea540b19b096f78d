//! One span, one log line and one measurement per request. Routes are named by their pattern: ids and queries are
//! neither labels nor log fields.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Level};

/// Names a request from the first proxy to our log and back.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request to no known address is called.
const UNMATCHED: &str = "unmatched";

/// Measures and logs a request.
pub async fn observe(request: Request, next: Next) -> Response {
    let route = route_of(&request);
    let method = known_method(request.method());
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let span = tracing::info_span!("request", method, route, id);
    let started = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let took = started.elapsed();
    let status = response.status();
    measure(method, route, status, took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        // Refusals are the client's business; only our own failures deserve attention.
        if status.is_server_error() && status.as_u16() != 503 {
            tracing::event!(Level::ERROR, status = status.as_u16(), micros, "answered");
        } else {
            tracing::event!(Level::DEBUG, status = status.as_u16(), micros, "answered");
        }
    });
    response
}

/// The pattern of the request's address.
pub(super) fn route_of(request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or(UNMATCHED, MatchedPath::as_str).to_owned()
}

/// Counts an answer.
pub(super) fn measure(method: &'static str, route: String, status: StatusCode, took: Duration) {
    let labels = [
        ("method", method.to_owned()),
        ("route", route),
        ("status", status.as_u16().to_string()),
    ];
    metrics::counter!("bookmarket_http_requests_total", &labels).increment(1);
    metrics::histogram!("bookmarket_http_request_seconds", &labels[..2]).record(took.as_secs_f64());
}

/// A client may send any word as its method; a label must not grow with it.
pub(super) fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
