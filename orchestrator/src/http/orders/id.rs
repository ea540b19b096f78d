//! `POST /order-ids`: the id of an order before there is one.

use aggregates::field::FieldError;
use aggregates::ids;
use aggregates::order::CUSTOMER_ID;
use axum::Json;
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::auth::Principal;
use crate::http::catalogue;
use crate::http::docs::Refusals;
use crate::http::extract::JsonBody;
use crate::http::fields::Fields;
use crate::http::idempotency;
use crate::http::problem::{Problem, ProblemDocument};

/// The id that an order will have
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderId {
    /// What `POST /orders` with the same token, key and customer calls it
    order_id: Uuid,
}

/// Learn an order's id before it is placed
///
/// A payment provider wants the id when the customer authenticates the payment, which is before `POST /orders`. The id is
/// exactly the one that `POST /orders` with this `Idempotency-Key` for this customer will have, if it is sent with the same API
/// token. Nothing is stored, and it can be asked as often as one likes.
#[utoipa::path(post, path = "/order-ids", tag = "orders",
    params(("Idempotency-Key" = String, Header, description = "The key of the order to come; 1 to 255 visible ASCII characters")),
    request_body(content = Object, example = json!({"customerId": "33"})),
    responses(
        (status = 200, description = "The id", body = OrderId),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn id(
    principal: Principal,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Json<OrderId>, Problem> {
    let key = idempotency::key(&headers)?.ok_or_else(|| {
        Problem::new(
            &catalogue::INVALID_HEADER,
            "Idempotency-Key is missing: the order's id follows from it.",
        )
    })?;
    let customer =
        customer(&body).map_err(|errors| Problem::fields(&catalogue::INVALID_REQUEST, errors))?;
    if !principal.may_see(&customer) {
        return Err(Problem::new(
            &catalogue::FORBIDDEN,
            "A customer's token orders for that customer only.",
        ));
    }
    let order_id = ids::order_id(&principal.name, &customer, &key);
    Ok(Json(OrderId { order_id }))
}

/// As an order has it.
fn customer(body: &Value) -> Result<String, Vec<FieldError>> {
    let mut errors = Vec::new();
    let customer = Fields::root(body, &mut errors).and_then(|mut fields| {
        let customer = fields.required_id("customerId");
        fields.finish();
        customer
    });
    errors.extend(
        customer
            .as_deref()
            .and_then(|customer| CUSTOMER_ID.check("/customerId", customer)),
    );
    customer.filter(|_| errors.is_empty()).ok_or(errors)
}
