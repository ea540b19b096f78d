//! `DELETE /orders/{id}` and `POST /orders/{id}/cancel`.

use aggregates::field::REASON;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::document::OrderLinks;
use crate::fulfilment::cancel::{CancelAnswer, CancelError};
use crate::http::auth::{Principal, Role};
use crate::http::catalogue;
use crate::http::consistency::{CONSISTENCY_TOKEN, token};
use crate::http::docs::Refusals;
use crate::http::extract::{ApiPath, OptionalJsonBody};
use crate::http::fields::Fields;
use crate::http::outcome::{load_saga_failed, verb_failed};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::Edge;
use crate::http::told::{CANCEL_REFUSED, of_refusal};

/// The reason of a request that names none.
const NO_REASON: &str = "no reason given";

/// Cancel an order
///
/// A request that may be refused: money never goes back for a parcel that can still leave. Waits as long as `--cancel-budget` says.
#[utoipa::path(delete, path = "/orders/{id}", tag = "orders", params(("id" = Uuid, Path, description = "The order")),
    responses(
        (status = 200, description = "Canceled; all money is back", body = Object),
        (status = 202, description = "Under way; ask GET /orders/{id}", body = Object),
        (status = 409, description = "past-point-of-no-return, already-rejected", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn delete(
    State(edge): State<Edge>,
    principal: Principal,
    ApiPath(order): ApiPath<Uuid>,
) -> Result<Response, Problem> {
    carry_out(&edge, &principal, order, NO_REASON).await
}

/// Cancel an order and say why
///
/// Like DELETE /orders/{id}, with an optional `reason` that is kept in the log.
#[utoipa::path(post, path = "/orders/{id}/cancel", tag = "orders",
    params(("id" = Uuid, Path, description = "The order")),
    request_body(content = Object, example = json!({"reason": "wrong edition"})),
    responses(
        (status = 200, description = "Canceled; all money is back", body = Object),
        (status = 202, description = "Under way; ask GET /orders/{id}", body = Object),
        (status = 409, description = "past-point-of-no-return, already-rejected", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn cancel(
    State(edge): State<Edge>,
    principal: Principal,
    ApiPath(order): ApiPath<Uuid>,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    let reason = reason(&body)?;
    carry_out(
        &edge,
        &principal,
        order,
        reason.as_deref().unwrap_or(NO_REASON),
    )
    .await
}

fn reason(body: &Value) -> Result<Option<String>, Problem> {
    let mut errors = Vec::new();
    let reason = Fields::root(body, &mut errors).and_then(|mut fields| {
        let reason = fields.text("reason");
        fields.finish();
        reason
    });
    errors.extend(
        reason
            .as_deref()
            .and_then(|reason| REASON.check("/reason", reason)),
    );
    if errors.is_empty() {
        Ok(reason)
    } else {
        Err(Problem::fields(&catalogue::INVALID_REQUEST, errors))
    }
}

async fn carry_out(
    edge: &Edge,
    principal: &Principal,
    order: Uuid,
    reason: &str,
) -> Result<Response, Problem> {
    edge.require_order(principal, order).await?;
    let actor = match principal.role {
        Role::Operator if !edge.callers.is_open() => "operator",
        _ => "customer",
    };
    let answer = edge
        .fulfilment
        .cancel(order, reason, actor, edge.cancel_budget)
        .await;
    match answer.map_err(|error| failed(&error))? {
        CancelAnswer::Canceled { checkpoint } => {
            let mut response = (StatusCode::OK, document(order, "Canceled")).into_response();
            response
                .headers_mut()
                .extend(token(&checkpoint).map(|token| (CONSISTENCY_TOKEN, token)));
            Ok(response)
        }
        CancelAnswer::Canceling => {
            Ok((StatusCode::ACCEPTED, document(order, "Canceling")).into_response())
        }
        CancelAnswer::PastPointOfNoReturn(refusal) => Err(Problem::new(
            &catalogue::PAST_POINT_OF_NO_RETURN,
            of_refusal(&refusal.code, CANCEL_REFUSED),
        )
        .about_order(order)),
        CancelAnswer::AlreadyRejected => {
            Err(Problem::new(&catalogue::ALREADY_REJECTED, "").about_order(order))
        }
        CancelAnswer::NotFound => Err(Problem::not_found("order")),
    }
}

fn document(order: Uuid, status: &str) -> Json<Value> {
    Json(json!({ "orderId": order, "status": status, "_links": OrderLinks::of(order) }))
}

fn failed(error: &CancelError) -> Problem {
    match error {
        CancelError::Verb(error) => verb_failed(error),
        CancelError::Load(error) => load_saga_failed(error),
    }
}
