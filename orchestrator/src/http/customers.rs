//! `POST /customers/{id}/erase`: makes a customer's personal data unreadable for ever.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::auth::Operator;
use super::catalogue;
use super::docs::Refusals;
use super::extract::{ApiPath, JsonBody};
use super::fields::Fields;
use super::outcome::store_unavailable;
use super::problem::{Problem, ProblemDocument};
use super::state::Edge;
use crate::fulfilment::erase::{EraseError, Erased};

/// Erase a customer's personal data
///
/// The customer's key is destroyed: events stay and count, but name, phone, address and payment token can never be
/// read again. May be asked twice.
#[utoipa::path(post, path = "/customers/{id}/erase", tag = "operation",
    params(("id" = String, Path, description = "The customer")),
    request_body(content = Object, example = json!({"reason": "request of 2026-11-20"})),
    responses((status = 200, description = "Erased", body = Object),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn erase(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    ApiPath(customer): ApiPath<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let reason = reason(&body)?;
    let erased = edge
        .fulfilment
        .erase(&customer, &reason, &principal.name)
        .await;
    let erased = erased.map_err(|error| match error {
        EraseError::Refused(errors) => Problem::fields(&catalogue::INVALID_REQUEST, errors),
        error => store_unavailable(&error),
    })?;
    Ok(Json(json!({ "customerId": customer, "erased": erased == Erased::Now })).into_response())
}

fn reason(body: &Value) -> Result<String, Problem> {
    let mut errors = Vec::new();
    let reason = Fields::root(body, &mut errors).and_then(|mut fields| {
        let reason = fields.required_text("reason");
        fields.finish();
        reason
    });
    match reason {
        Some(reason) if errors.is_empty() => Ok(reason),
        _ => Err(Problem::fields(&catalogue::INVALID_REQUEST, errors)),
    }
}
