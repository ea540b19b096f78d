//! Errors as RFC 9457 problem documents.

use aggregates::field::FieldError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use projections::{LagReason, ProjectionStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::{self, Kind};

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds a client is asked to wait where nothing better is known.
const DEFAULT_RETRY_AFTER: u64 = 1;

/// What a handler answers when it cannot do what was asked.
#[derive(Debug)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
    order_id: Option<String>,
    /// Boxed, since every handler's answer has room for it.
    lag: Option<Box<Lag>>,
}

/// How late a view is
#[derive(Debug, Serialize, ToSchema)]
pub struct Lag {
    /// Positions of the log that it has not taken yet
    positions: i64,
    /// How long the first of them has been in the log
    seconds: f64,
    /// Why, as GET /projections says it
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// A problem on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Stable kind of the problem; dereference it for what to do
    #[schema(example = "/problems/invalid-order")]
    r#type: String,
    /// The same for every problem of the kind
    title: &'static str,
    /// The HTTP status
    status: u16,
    /// What happened this time
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// Every refused field
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<RefusedField>)]
    errors: Vec<FieldError>,
    /// The order it is about
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    /// How late the view is that was asked
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<Lag>,
}

/// A refused field on the wire: describes the domain's [`FieldError`], which knows no HTTP
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes what FieldError serializes to")]
struct RefusedField {
    /// JSON pointer (RFC 6901) into the request body; empty = the whole body
    #[schema(example = "/lines/0/qty")]
    pointer: String,
    /// What is wrong with it, as a sentence
    detail: String,
}

impl Problem {
    /// A problem of a kind, with what happened this time.
    pub fn new(kind: &'static Kind, detail: impl Into<String>) -> Problem {
        Problem {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            order_id: None,
            lag: None,
        }
    }

    /// The body was understood but fields of it are refused.
    pub fn fields(kind: &'static Kind, errors: Vec<FieldError>) -> Problem {
        let detail = match errors.as_slice() {
            [only] => only.detail.clone(),
            several => format!("{} fields are refused", several.len()),
        };
        Problem {
            errors,
            ..Problem::new(kind, detail)
        }
    }

    /// A failure of ours. The cause goes to the log and never to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Problem {
        tracing::error!(%cause, "a request failed");
        Problem::new(
            &catalogue::INTERNAL,
            "The cause is in the server's log under this X-Request-Id.",
        )
    }

    /// Nothing is there, or nothing that this caller may see: the two must look the same.
    #[must_use]
    pub fn not_found(what: &str) -> Problem {
        Problem::new(&catalogue::NOT_FOUND, format!("There is no such {what}."))
    }

    /// The order the problem is about, for a client that has only the problem.
    #[must_use]
    pub fn about_order(mut self, order_id: impl ToString) -> Problem {
        self.order_id = Some(order_id.to_string());
        self
    }

    /// How late the view is that was asked.
    #[must_use]
    pub fn lag(mut self, view: &ProjectionStatus) -> Problem {
        self.lag = Some(Box::new(Lag {
            positions: view.lag,
            seconds: view.lag_seconds,
            reason: view.lag_reason.map(LagReason::as_str),
        }));
        self
    }

    /// Asks the client to wait this many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status;
        let asks_to_wait =
            status == StatusCode::SERVICE_UNAVAILABLE || *self.kind == catalogue::KEY_IN_PROGRESS;
        let retry_after = self
            .retry_after
            .or_else(|| asks_to_wait.then_some(DEFAULT_RETRY_AFTER));
        let document = ProblemDocument {
            r#type: format!("/problems/{}", self.kind.name),
            title: self.kind.title,
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            order_id: self.order_id,
            lag: self.lag.map(|lag| *lag),
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Gives every error answer of the framework, which is plain text or empty, the form of a problem.
///
/// Keeps the headers that carry meaning (`Allow` of a 405).
pub async fn shape_errors(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let shaped = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == MEDIA_TYPE || kind == mime_json());
    if !is_error || shaped {
        return response;
    }
    let (parts, _body) = response.into_parts();
    let mut problem = Problem::new(catalogue::for_status(status), "").into_response();
    *problem.status_mut() = status;
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

fn mime_json() -> &'static str {
    "application/json"
}
