//! `POST /kakaos` and `GET /kakaos/{id}`: messages.

use aggregates::field::FieldError;
use aggregates::kakao::{CheckedMessage, Message, MessageDraft, Progress};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::as_of::AsOf;
use super::auth::Principal;
use super::catalogue;
use super::consistency::{CONSISTENCY_TOKEN, token};
use super::docs::Refusals;
use super::etag::versioned;
use super::extract::{ApiPath, JsonBody, trace};
use super::fields::Fields;
use super::idempotency;
use super::outcome::{load_failed, store_unavailable_for};
use super::problem::{Problem, ProblemDocument};
use super::query::ApiQuery;
use super::state::Edge;
use super::told::told;
use crate::fulfilment::messages::{SendAnswer, SendError, SendMessage};

/// Send a message to a customer
///
/// Answers when the message is recorded; it is sent right after, by a saga with the message's id.
#[utoipa::path(post, path = "/kakaos", tag = "aggregates",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the command")),
    request_body(content = Object,
        example = json!({"orderId": "111", "customerId": "33", "status": "Shipped", "message": "on its way"})),
    responses((status = 201, description = "Recorded", body = Object),
        (status = 409, description = "message-in-doubt", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-message, idempotency-key-reused", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn send(
    State(edge): State<Edge>,
    principal: Principal,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers)?;
    let message =
        read(&body).map_err(|errors| Problem::fields(&catalogue::INVALID_MESSAGE, errors))?;
    if !principal.may_see(&message.customer_id) {
        return Err(Problem::new(
            &catalogue::FORBIDDEN,
            "A customer's token sends to that customer only.",
        ));
    }
    let command = SendMessage {
        message,
        principal: principal.name.to_string(),
        key,
        trace: trace(&headers),
    };
    match edge.fulfilment.send_message(command).await {
        Ok(SendAnswer::Recorded(recorded)) => {
            let place = format!("/kakaos/{}", recorded.value.id);
            let mut response = (
                StatusCode::CREATED,
                [(header::LOCATION, place)],
                Json(document(&recorded.value)),
            )
                .into_response();
            let token = token(&recorded.checkpoint);
            response
                .headers_mut()
                .extend(token.map(|token| (CONSISTENCY_TOKEN, token)));
            Ok(response)
        }
        // Never 503: that says to send it again, and a client without a key would tell the customer twice.
        Ok(SendAnswer::InDoubt { message_id }) => Err(Problem::new(
            &catalogue::MESSAGE_IN_DOUBT,
            format!("If it is recorded it is /kakaos/{message_id}."),
        )),
        Ok(SendAnswer::KeyReused { .. }) => Err(Problem::new(&catalogue::KEY_REUSED, "")),
        Err(SendError::StoreUnavailable {
            retry_after,
            source,
        }) => Err(store_unavailable_for(&source, retry_after)),
        Err(SendError::Load(error)) => Err(load_failed(&error)),
        Err(error @ SendError::Rejected(_)) => Err(Problem::internal(&error)),
    }
}

/// Read a message as it is now, or as it was
#[utoipa::path(get, path = "/kakaos/{id}", tag = "aggregates", params(("id" = Uuid, Path, description = "The message"), AsOf),
    responses((status = 200, description = "The message", body = Object, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "Unchanged since If-None-Match"), Refusals))]
pub async fn show(
    State(edge): State<Edge>,
    principal: Principal,
    headers: HeaderMap,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(as_of): ApiQuery<AsOf>,
) -> Result<Response, Problem> {
    let found = as_of.find::<Message>(&edge, id).await?;
    match found.filter(|found| principal.may_see(&found.value.customer_id)) {
        Some(found) => {
            let message = told(&principal, found.value);
            Ok(versioned(&headers, found.version, &document(&message)))
        }
        None => Err(Problem::not_found("message")),
    }
}

fn read(body: &Value) -> Result<CheckedMessage, Vec<FieldError>> {
    let mut errors = Vec::new();
    let Some(mut fields) = Fields::root(body, &mut errors) else {
        return Err(errors);
    };
    let draft = MessageDraft {
        order_id: fields.required_id("orderId").unwrap_or_default(),
        customer_id: fields.required_id("customerId").unwrap_or_default(),
        status: fields.required_text("status").unwrap_or_default(),
        message: fields.required_text("message").unwrap_or_default(),
    };
    fields.finish();
    let checked = draft.check();
    if errors.is_empty() {
        return checked;
    }
    for error in checked.err().unwrap_or_default() {
        if errors.iter().all(|known| known.pointer != error.pointer) {
            errors.push(error);
        }
    }
    Err(errors)
}

fn document(message: &Message) -> Value {
    let (channel, provider_ref) = match &message.progress {
        Progress::Sent {
            channel,
            provider_ref,
        } => (Some(channel), provider_ref.as_ref()),
        _ => (None, None),
    };
    let reason = match &message.progress {
        Progress::Failed(refusal) => Some(&refusal.reason),
        Progress::Suppressed { reason } => Some(reason),
        _ => None,
    };
    json!({
        "id": message.id,
        "orderId": message.order_id,
        "customerId": message.customer_id,
        "kind": message.kind,
        "status": message.topic,
        "message": message.text,
        "state": message.progress.as_str(),
        "channel": channel,
        "providerRef": provider_ref,
        "reason": reason,
        "updatedAt": message.updated_at,
        "_links": { "self": { "href": format!("/kakaos/{}", message.id) } },
    })
}
