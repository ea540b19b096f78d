//! `POST /orders`.

use aggregates::field::FieldError;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use eventstore::Position;
use uuid::Uuid;

use super::document::OrderDocument;
use super::form;
use crate::fulfilment::answers::{OrderAnswer, Verdict};
use crate::fulfilment::place::{PlaceAnswer, PlaceError, PlaceOrder};
use crate::http::auth::Principal;
use crate::http::catalogue;
use crate::http::consistency::{CONSISTENCY_TOKEN, token};
use crate::http::docs::Refusals;
use crate::http::extract::{JsonBody, trace};
use crate::http::idempotency::{self, REPLAYED};
use crate::http::outcome::store_unavailable_for;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::Edge;
use crate::http::told::{ORDER_REFUSED, of_refusal};

/// Where an order came from, in its first event.
const SOURCE: &str = "http";

/// What is wrong with a payment token whose order nobody could know the id of.
const UNNAMED: &str = "The payment provider takes a token for one order's id only, so the order needs an Idempotency-Key: \
    POST /order-ids with the same key tells the id beforehand.";

/// Place an order
///
/// Answers after the payment: no payment, no order. With an `Idempotency-Key` it can be sent again without harm and
/// gets the same answer with `Idempotent-Replayed: true`, whatever has happened since; without one every POST is a new order. Where
/// a payment provider has tokens that are for one order's id, a `payment` needs the key, and `POST /order-ids` tells the id beforehand.
/// The short form
/// `{bookId, qty, customerId}` is priced by the shop.
#[utoipa::path(post, path = "/orders", tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the command; 1 to 255 visible ASCII characters")),
    request_body(content = Object, example = json!({
        "customerId": "33", "lines": [{"bookId": "9788937460449", "qty": 1, "unitPrice": 12000, "title": "Demian"}],
        "shippingFee": 3000, "currency": "KRW", "payment": {"method": "card", "token": "tok_1"},
        "contact": {"name": "Kim", "phone": "+82-10-0000-0000"}, "address": {"street": "1 Sejong-daero", "city": "Seoul"}
    })),
    responses(
        (status = 201, description = "Paid", body = OrderDocument),
        (status = 202, description = "The payment is open; the order goes on by itself", body = OrderDocument),
        (status = 402, description = "payment-declined", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "idempotency-key-in-progress, order-in-doubt, command-in-doubt", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-order, idempotency-key-reused", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn place(
    State(edge): State<Edge>,
    principal: Principal,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers)?;
    let order = form::read(&body, &edge.defaults)
        .map_err(|errors| Problem::fields(&catalogue::INVALID_ORDER, errors))?;
    if !principal.may_see(&order.customer_id) {
        return Err(Problem::new(
            &catalogue::FORBIDDEN,
            "A customer's token orders for that customer only.",
        ));
    }
    if key.is_none() && edge.tokens_name_orders && order.payment.is_some() {
        return Err(Problem::fields(
            &catalogue::INVALID_ORDER,
            vec![FieldError::new("/payment/token", UNNAMED)],
        ));
    }
    let known_before = *edge.store.watch().borrow();
    let has_key = key.is_some();
    let command = PlaceOrder {
        order,
        principal: principal.name.to_string(),
        key,
        source: Some(SOURCE.to_owned()),
        trace: trace(&headers),
    };
    match edge.fulfilment.place(command).await {
        Ok(PlaceAnswer::Answered(answer)) => Ok(answered(&answer, known_before)),
        Ok(PlaceAnswer::KeyReused { order_id }) => {
            Err(Problem::new(&catalogue::KEY_REUSED, "").about_order(order_id))
        }
        Ok(PlaceAnswer::InProgress { order_id }) => Err(in_progress(order_id, has_key)),
        Err(error) => Err(failed(&error)),
    }
}

/// The order's first answer in HTTP. Status and body depend on nothing else; only headers may tell a repeat apart.
fn answered(answer: &OrderAnswer, known_before: Position) -> Response {
    let status = match &answer.verdict {
        Verdict::Paid { .. } => StatusCode::CREATED,
        Verdict::Pending => StatusCode::ACCEPTED,
        Verdict::Rejected(_) => StatusCode::PAYMENT_REQUIRED,
    };
    let order_id = answer.ordered.order_id;
    let mut response = match (OrderDocument::of(answer), &answer.verdict) {
        (None, Verdict::Rejected(refusal)) => Problem::new(
            &catalogue::PAYMENT_DECLINED,
            of_refusal(&refusal.code, ORDER_REFUSED),
        )
        .about_order(order_id)
        .into_response(),
        (document, _) => (status, Json(document)).into_response(),
    };
    let headers = response.headers_mut();
    if let Ok(place) = HeaderValue::try_from(format!("/orders/{order_id}")) {
        headers.insert(header::LOCATION, place);
    }
    headers.extend(token(&answer.checkpoint).map(|token| (CONSISTENCY_TOKEN, token)));
    if answer.checkpoint.position <= known_before {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Never 503: that says that nothing was stored, and a client without a key would buy twice.
fn in_progress(order_id: Uuid, has_key: bool) -> Problem {
    let kind = if has_key {
        &catalogue::KEY_IN_PROGRESS
    } else {
        &catalogue::ORDER_IN_DOUBT
    };
    Problem::new(kind, "").about_order(order_id)
}

fn failed(error: &PlaceError) -> Problem {
    match error {
        PlaceError::PaymentUnavailable { retry_after } => {
            Problem::new(&catalogue::PAYMENT_UNAVAILABLE, "")
                .retry_after(whole_seconds(*retry_after))
        }
        PlaceError::StoreUnavailable {
            retry_after,
            source,
        } => store_unavailable_for(source, *retry_after),
        PlaceError::Vault(_) => store_unavailable_for(error, std::time::Duration::ZERO),
        PlaceError::Unreadable(_) | PlaceError::Rejected(_) => Problem::internal(error),
    }
}

/// Rounded up: whoever comes a moment too early is refused again.
fn whole_seconds(wait: std::time::Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_without_an_answer_is_a_conflict_and_says_when_to_ask_again() {
        let with_a_key = in_progress(Uuid::nil(), true).into_response();
        assert_eq!(with_a_key.status(), StatusCode::CONFLICT);
        assert!(with_a_key.headers().contains_key(header::RETRY_AFTER));
        // Asking again without a key would be another order.
        let without = in_progress(Uuid::nil(), false).into_response();
        assert_eq!(without.status(), StatusCode::CONFLICT);
        assert!(!without.headers().contains_key(header::RETRY_AFTER));
    }
}
