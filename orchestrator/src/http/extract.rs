//! Extractors whose rejections are problems.

use aggregates::field::FieldError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::catalogue;
use super::json;
use super::problem::Problem;
use crate::lineage::TraceParent;

/// Largest body of a command: twice the text that an order may hold. (Real ones stay below 23 kB.)
pub const BODY_MAX: usize = 512 * 1024;

/// The trace that a request is part of. What is no `traceparent` is left out, as the standard has it.
pub fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get("traceparent")?.to_str().ok()?)
}

/// A JSON body, still untyped: the reader of each command reports every wrong field, not just the first.
pub struct JsonBody(pub Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| body_problem(&error))?;
        parse(&bytes).map(JsonBody)
    }
}

/// Like [`JsonBody`], but an absent body counts as an empty object.
pub struct OptionalJsonBody(pub Value);

impl<S: Send + Sync> FromRequest<S> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let typed = require_json(request.headers());
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| body_problem(&error))?;
        if bytes.is_empty() {
            return Ok(OptionalJsonBody(Value::Object(serde_json::Map::new())));
        }
        typed?;
        parse(&bytes).map(OptionalJsonBody)
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
    match essence.as_deref() {
        Some("application/json") => Ok(()),
        Some(kind) if kind.starts_with("application/") && kind.ends_with("+json") => Ok(()),
        Some(other) => Err(Problem::new(
            &catalogue::UNSUPPORTED_MEDIA_TYPE,
            format!("{other} is not JSON."),
        )),
        None => Err(Problem::new(
            &catalogue::UNSUPPORTED_MEDIA_TYPE,
            "There is no Content-Type.",
        )),
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Err(Problem::new(&catalogue::INVALID_JSON, "The body is empty."));
    }
    let (body, doubled) = json::parse(bytes).map_err(|error| {
        // serde_json's text for syntax errors names a place and a cause but quotes nothing of the body.
        Problem::new(
            &catalogue::INVALID_JSON,
            format!("The body is not JSON: {error}."),
        )
    })?;
    if doubled.is_empty() {
        return Ok(body);
    }
    let doubled = doubled
        .into_iter()
        .map(|pointer| FieldError::new(pointer, "This field is there twice."));
    Err(Problem::fields(
        &catalogue::INVALID_REQUEST,
        doubled.collect(),
    ))
}

pub(super) fn body_problem(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            &catalogue::CONTENT_TOO_LARGE,
            format!("A body may have at most {BODY_MAX} bytes."),
        ),
        _ => Problem::new(
            &catalogue::BAD_REQUEST,
            "The body ended before it was complete.",
        ),
    }
}

/// Path parameters; ones that do not parse name nothing that exists.
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(ApiPath(value)),
            Err(_) => Err(Problem::new(
                &catalogue::NOT_FOUND,
                "The id in the address is not one of ours.",
            )),
        }
    }
}

/// What an address that exists nowhere answers.
pub async fn unknown_address() -> impl IntoResponse {
    Problem::new(
        &catalogue::NOT_FOUND,
        "This address is not part of the API; see /docs.",
    )
}

/// What a known address answers to a method it does not have.
pub async fn unknown_method() -> impl IntoResponse {
    Problem::new(&catalogue::METHOD_NOT_ALLOWED, "")
}
