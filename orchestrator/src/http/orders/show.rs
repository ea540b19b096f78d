//! `GET /orders/{id}`, `/payments/{id}`, `/deliveries/{id}`: the aggregates, folded from their streams.

use aggregates::Refusal;
use aggregates::delivery::Delivery;
use aggregates::order::Order;
use aggregates::payment::Payment;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::document::OrderLinks;
use crate::execute::Versioned;
use crate::http::as_of::AsOf;
use crate::http::auth::Principal;
use crate::http::docs::Refusals;
use crate::http::etag::versioned;
use crate::http::extract::ApiPath;
use crate::http::problem::Problem;
use crate::http::query::ApiQuery;
use crate::http::state::Edge;
use crate::http::told::told;

/// Read an order as it is now, or as it was
///
/// Always current; with `asOf` as it was after that event of the log, 404 before it was placed. Name, phone and address are shown to the order's own customer only.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = Uuid, Path, description = "The order"), AsOf),
    responses((status = 200, description = "The order", body = Object, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "Unchanged since If-None-Match"), Refusals))]
pub async fn order(
    State(edge): State<Edge>,
    principal: Principal,
    headers: HeaderMap,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(as_of): ApiQuery<AsOf>,
) -> Result<Response, Problem> {
    let found = as_of.find::<Order>(&edge, id).await?;
    let found = visible(found, "order", |order| {
        principal.may_see(&order.customer_id)
    })?;
    let mut document = order_document(&told(&principal, found.value.clone()));
    if principal.is_customer(&found.value.customer_id) || edge.callers.is_open() {
        add_details(&edge, &found.value, &mut document).await;
    }
    Ok(versioned(&headers, found.version, &document))
}

/// Read an order's payment as it is now, or as it was
#[utoipa::path(get, path = "/payments/{id}", tag = "aggregates", params(("id" = Uuid, Path, description = "The order"), AsOf),
    responses((status = 200, description = "The payment", body = Object, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "Unchanged since If-None-Match"), Refusals))]
pub async fn payment(
    State(edge): State<Edge>,
    principal: Principal,
    headers: HeaderMap,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(as_of): ApiQuery<AsOf>,
) -> Result<Response, Problem> {
    let found = as_of.find::<Payment>(&edge, id).await?;
    let found = visible(found, "payment", |payment| {
        principal.may_see(&payment.customer_id)
    })?;
    let document = payment_document(&told(&principal, found.value));
    Ok(versioned(&headers, found.version, &document))
}

/// Read an order's delivery as it is now, or as it was
#[utoipa::path(get, path = "/deliveries/{id}", tag = "aggregates", params(("id" = Uuid, Path, description = "The order"), AsOf),
    responses((status = 200, description = "The delivery", body = Object, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "Unchanged since If-None-Match"), Refusals))]
pub async fn delivery(
    State(edge): State<Edge>,
    principal: Principal,
    headers: HeaderMap,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(as_of): ApiQuery<AsOf>,
) -> Result<Response, Problem> {
    let found = as_of.find::<Delivery>(&edge, id).await?;
    let found = visible(found, "delivery", |delivery| {
        principal.may_see(&delivery.customer_id)
    })?;
    let document = delivery_document(&told(&principal, found.value));
    Ok(versioned(&headers, found.version, &document))
}

/// What was found, if the caller may see it: what belongs to somebody else looks like nothing at all.
fn visible<T>(
    found: Option<Versioned<T>>,
    what: &str,
    may_see: impl FnOnce(&T) -> bool,
) -> Result<Versioned<T>, Problem> {
    found
        .filter(|found| may_see(&found.value))
        .ok_or_else(|| Problem::not_found(what))
}

/// An order on the wire.
pub fn order_document(order: &Order) -> Value {
    let first = order.lines.first();
    json!({
        "orderId": order.order_id,
        "customerId": order.customer_id,
        "status": order.shown_status(),
        "bookId": first.map(|line| &line.book_id),
        "qty": first.map(|line| line.qty),
        "lines": order.lines,
        "shippingFee": order.shipping_fee,
        "total": order.total.amount,
        "currency": order.total.currency,
        "paymentRef": order.payment_ref,
        "carrier": order.parcel.as_ref().map(|parcel| &parcel.carrier),
        "waybill": order.parcel.as_ref().map(|parcel| &parcel.waybill),
        "cancelRefused": order.cancel_refusal.as_ref().map(|refusal| &refusal.reason),
        "canceled": order.canceled.as_ref().map(|cancel| json!({
            "reason": cancel.reason, "actor": cancel.actor, "at": cancel.at,
        })),
        "externalId": order.external_id,
        "placedAt": order.placed_at,
        "orderedAt": order.ordered_at,
        "_links": OrderLinks::of(order.order_id),
    })
}

/// Adds what only the customer may read. After an erasure there is nothing left to add.
async fn add_details(edge: &Edge, order: &Order, document: &mut Value) {
    let details = match edge.fulfilment.details(order).await {
        Ok(details) => details,
        Err(error) => {
            tracing::warn!(%error, "an order's personal data cannot be unsealed");
            return;
        }
    };
    if let (Some(name), Some(phone)) = (&details.name, &details.phone) {
        document["contact"] = json!({ "name": name.expose(), "phone": phone.expose() });
    }
    if let Some(address) = &details.address {
        document["address"] = serde_json::from_str(address.expose()).unwrap_or_default();
    }
}

/// A payment on the wire.
pub fn payment_document(payment: &Payment) -> Value {
    let last = payment.charges.last();
    json!({
        "id": payment.order_id,
        "orderId": payment.order_id,
        "customerId": payment.customer_id,
        "status": payment.status(),
        "amount": last.map(|charge| charge.money.amount),
        "currency": last.map(|charge| charge.money.currency),
        "charged": payment.charged(),
        "refunded": payment.refunded(),
        "charges": payment.charges.iter().map(|charge| json!({
            "amount": charge.money.amount, "currency": charge.money.currency, "providerRef": charge.provider_ref,
            "at": charge.at, "refundRef": charge.refund_ref,
        })).collect::<Vec<_>>(),
        "declined": refusal(payment.declined.as_ref()),
        "refundRefused": refusal(payment.refund_refusal.as_ref()),
        "updatedAt": payment.updated_at,
        "_links": OrderLinks::of(payment.order_id),
    })
}

/// A delivery on the wire.
pub fn delivery_document(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.order_id,
        "orderId": delivery.order_id,
        "customerId": delivery.customer_id,
        "status": delivery.status.as_str(),
        "carrier": delivery.parcel.as_ref().map(|parcel| &parcel.carrier),
        "waybill": delivery.parcel.as_ref().map(|parcel| &parcel.waybill),
        "refused": refusal(delivery.refusal.as_ref()),
        "holdRefused": refusal(delivery.hold_refusal.as_ref()),
        "exception": delivery.exception.as_ref().map(|exception| json!({
            "code": exception.refusal.code, "reason": exception.refusal.reason,
            "atStake": exception.at_stake, "at": exception.at,
        })),
        "trackingLost": delivery.tracking_lost,
        "updatedAt": delivery.updated_at,
        "_links": OrderLinks::of(delivery.order_id),
    })
}

fn refusal(refusal: Option<&Refusal>) -> Value {
    refusal.map_or(
        Value::Null,
        |refusal| json!({ "code": refusal.code, "reason": refusal.reason }),
    )
}
