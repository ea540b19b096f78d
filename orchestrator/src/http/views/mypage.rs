//! `GET /mypages` (also `/customerviews`): what a customer wants to know about its orders.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use projections::customer::{CustomerRow, OrderStatus};
use projections::{CustomerList, View};
use serde::Serialize;
use uuid::Uuid;

use super::customer::{Links, rows};
use super::list::{Collection, ListQuery, query_failed};
use crate::http::auth::Principal;
use crate::http::consistency::Freshness;
use crate::http::docs::Refusals;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::problem::Problem;
use crate::http::state::Edge;

/// List everything about orders, the youngest first
#[utoipa::path(get, path = "/mypages", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of the customer view", body = Collection), Refusals))]
pub async fn mypages(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    query: ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    list(state, principal, freshness, query, "mypages").await
}

/// List everything about orders, the youngest first (another name of /mypages)
#[utoipa::path(get, path = "/customerviews", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of the customer view", body = Collection), Refusals))]
pub async fn customerviews(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    query: ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    list(state, principal, freshness, query, "customerviews").await
}

/// Read everything about one order
#[utoipa::path(get, path = "/mypages/{orderId}", tag = "views",
    params(("orderId" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order in the customer view", body = Object), Refusals))]
pub async fn mypage(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    order: ApiPath<Uuid>,
) -> Result<Response, Problem> {
    one(state, principal, freshness, order, "mypages").await
}

/// Read everything about one order (another name of /mypages/{orderId})
#[utoipa::path(get, path = "/customerviews/{orderId}", tag = "views",
    params(("orderId" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order in the customer view", body = Object), Refusals))]
pub async fn customerview(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    order: ApiPath<Uuid>,
) -> Result<Response, Problem> {
    one(state, principal, freshness, order, "customerviews").await
}

async fn list(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<ListQuery>,
    name: &str,
) -> Result<Response, Problem> {
    let page = rows(&edge, &principal, &freshness, &query, CustomerList::Orders).await?;
    Ok(query.answer_page(name, &page, |row| Mypage::new(row, name)))
}

async fn one(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiPath(order): ApiPath<Uuid>,
    name: &str,
) -> Result<Response, Problem> {
    freshness.of(&edge, View::Customer).await?;
    let row = edge
        .projections
        .customer_row(order)
        .await
        .map_err(|error| query_failed(&error))?;
    match row.filter(|row| principal.may_see(&row.customer_id)) {
        Some(row) => Ok(Json(Mypage::new(&row, name)).into_response()),
        None => Err(Problem::not_found("order")),
    }
}

/// A row of the customer view with what it means for its customer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mypage<'a> {
    #[serde(flatten)]
    row: &'a CustomerRow,
    /// The status as a sentence.
    status_text: String,
    /// Whether asking for a cancellation can still succeed.
    cancelable: bool,
    #[serde(rename = "_links")]
    links: Links,
}

impl<'a> Mypage<'a> {
    fn new(row: &'a CustomerRow, collection: &str) -> Mypage<'a> {
        let cancelable = matches!(
            row.status,
            OrderStatus::Pending | OrderStatus::Paid | OrderStatus::Shipped
        );
        Mypage {
            row,
            status_text: sentence(row),
            cancelable,
            links: Links::to(collection, row.order_id),
        }
    }
}

fn sentence(row: &CustomerRow) -> String {
    let parcel = row
        .delivery
        .as_ref()
        .and_then(|parcel| Some((parcel.carrier.as_ref()?, parcel.waybill.as_ref()?)));
    let refunded = row.payment.as_ref().map_or(0, |payment| payment.refunded);
    match (row.status, parcel) {
        (OrderStatus::Pending, _) => "We are waiting for the payment.".to_owned(),
        (OrderStatus::Paid, _) => "Paid; the parcel is being prepared.".to_owned(),
        (OrderStatus::Shipped, Some((carrier, waybill))) => {
            format!("The parcel is ready for {carrier} under number {waybill}.")
        }
        (OrderStatus::Shipped, None) => "The parcel is ready for the carrier.".to_owned(),
        (OrderStatus::HandedOver, Some((carrier, waybill))) => {
            format!("The parcel is on its way with {carrier} under number {waybill}.")
        }
        (OrderStatus::HandedOver, None) => "The parcel is on its way.".to_owned(),
        (OrderStatus::Delivered, _) => "The parcel has arrived.".to_owned(),
        (OrderStatus::Rejected, _) => match &row.rejected {
            Some(refusal) => format!("Not accepted: {}", refusal.reason),
            None => "Not accepted.".to_owned(),
        },
        (OrderStatus::Canceling, _) => "The cancellation is under way.".to_owned(),
        (OrderStatus::Canceled, _) if refunded > 0 => {
            "Canceled; the money is on its way back.".to_owned()
        }
        (OrderStatus::Canceled, _) => "Canceled.".to_owned(),
    }
}
