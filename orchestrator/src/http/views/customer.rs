//! `GET /orders`, `/payments`, `/deliveries`: three ways to look at the customer view.

use aggregates::money::Currency;
use aggregates::order::Line;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use projections::customer::{
    CustomerRow, DeliveryFacts, DeliveryStatus, OrderStatus, PaymentFacts, PaymentStatus,
};
use projections::{CustomerFilter, CustomerList, Page, View};
use serde::Serialize;
use uuid::Uuid;

use super::list::{Collection, ListQuery, Scope, nothing, query_failed};
use crate::http::auth::Principal;
use crate::http::consistency::Freshness;
use crate::http::docs::Refusals;
use crate::http::filter;
use crate::http::problem::Problem;
use crate::http::query::ApiQuery;
use crate::http::state::Edge;
use crate::http::told::told;

/// List orders, the youngest first
#[utoipa::path(get, path = "/orders", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of orders", body = Collection), Refusals))]
pub async fn orders(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    let page = rows(&edge, &principal, &freshness, &query, CustomerList::Orders).await?;
    Ok(query.answer_page("orders", &[], &page, OrderItem::from))
}

/// List payments, those of the youngest orders first
#[utoipa::path(get, path = "/payments", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of payments", body = Collection), Refusals))]
pub async fn payments(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    let page = rows(
        &edge,
        &principal,
        &freshness,
        &query,
        CustomerList::Payments,
    )
    .await?;
    Ok(query.answer_page("payments", &[], &page, PaymentItem::of))
}

/// List deliveries, those of the youngest orders first
#[utoipa::path(get, path = "/deliveries", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of deliveries", body = Collection), Refusals))]
pub async fn deliveries(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    let page = rows(
        &edge,
        &principal,
        &freshness,
        &query,
        CustomerList::Deliveries,
    )
    .await?;
    Ok(query.answer_page("deliveries", &[], &page, DeliveryItem::of))
}

/// The rows of the customer view that a list asks for and its caller may see.
pub(super) async fn rows(
    edge: &Edge,
    principal: &Principal,
    freshness: &Freshness,
    query: &ListQuery,
    list: CustomerList,
) -> Result<Page<CustomerRow>, Problem> {
    let filter = customer_filter(principal, query, list)?;
    freshness.of(edge, View::Customer).await?;
    let Some(filter) = filter else {
        return Ok(nothing());
    };
    let page = edge
        .projections
        .customer_rows(&filter, &query.page())
        .await
        .map_err(|error| query_failed(&error))?;
    Ok(told(principal, page))
}

/// What a list asks for, checked; `None` where its caller may see nothing of it.
pub(super) fn customer_filter(
    principal: &Principal,
    query: &ListQuery,
    list: CustomerList,
) -> Result<Option<CustomerFilter>, Problem> {
    query.check()?;
    let status = query.status.as_deref();
    match list {
        CustomerList::Orders => filter::one_of::<OrderStatus>("status", status).map(drop),
        CustomerList::Payments => filter::one_of::<PaymentStatus>("status", status).map(drop),
        CustomerList::Deliveries => filter::one_of::<DeliveryStatus>("status", status).map(drop),
    }?;
    let placed = query.span()?;
    let customer_id = match query.customer(principal) {
        Scope::All => None,
        Scope::One(customer) => Some(customer),
        Scope::Nothing => return Ok(None),
    };
    Ok(Some(CustomerFilter {
        list,
        customer_id,
        status: query.status.clone(),
        waybill: query.q(),
        placed,
    }))
}

/// An order in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderItem<'a> {
    order_id: Uuid,
    customer_id: &'a str,
    status: OrderStatus,
    book_id: Option<&'a str>,
    qty: Option<u32>,
    lines: &'a [Line],
    shipping_fee: i64,
    total: i64,
    currency: Currency,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    #[serde(rename = "_links")]
    links: Links,
}

impl<'a> From<&'a CustomerRow> for OrderItem<'a> {
    fn from(row: &'a CustomerRow) -> OrderItem<'a> {
        let first = row.lines.first();
        OrderItem {
            order_id: row.order_id,
            customer_id: &row.customer_id,
            status: row.status,
            book_id: first.map(|line| line.book_id.as_str()),
            qty: first.map(|line| line.qty),
            lines: &row.lines,
            shipping_fee: row.shipping_fee,
            total: row.total,
            currency: row.currency,
            placed_at: row.placed_at,
            updated_at: row.updated_at,
            links: Links::to("orders", row.order_id),
        }
    }
}

/// A payment in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentItem<'a> {
    id: Uuid,
    order_id: Uuid,
    customer_id: &'a str,
    currency: Currency,
    #[serde(flatten)]
    facts: Option<&'a PaymentFacts>,
    #[serde(rename = "_links")]
    links: Links,
}

impl<'a> PaymentItem<'a> {
    fn of(row: &'a CustomerRow) -> PaymentItem<'a> {
        PaymentItem {
            id: row.order_id,
            order_id: row.order_id,
            customer_id: &row.customer_id,
            currency: row.currency,
            facts: row.payment.as_ref(),
            links: Links::to("payments", row.order_id),
        }
    }
}

/// A delivery in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryItem<'a> {
    id: Uuid,
    order_id: Uuid,
    customer_id: &'a str,
    #[serde(flatten)]
    facts: Option<&'a DeliveryFacts>,
    #[serde(rename = "_links")]
    links: Links,
}

impl<'a> DeliveryItem<'a> {
    fn of(row: &'a CustomerRow) -> DeliveryItem<'a> {
        DeliveryItem {
            id: row.order_id,
            order_id: row.order_id,
            customer_id: &row.customer_id,
            facts: row.delivery.as_ref(),
            links: Links::to("deliveries", row.order_id),
        }
    }
}

/// Where an item's own document is.
#[derive(Serialize)]
pub(super) struct Links {
    #[serde(rename = "self")]
    itself: Link,
}

#[derive(Serialize)]
struct Link {
    href: String,
}

impl Links {
    pub(super) fn to(collection: &str, id: Uuid) -> Links {
        Links {
            itself: Link {
                href: format!("/{collection}/{id}"),
            },
        }
    }
}
