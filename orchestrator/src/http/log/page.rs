//! `GET /events` and `GET /orders/{id}/events`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use eventstore::Category;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::wire::{EventPage, WireEvent};
use crate::http::auth::{Operator, Principal};
use crate::http::catalogue;
use crate::http::docs::Refusals;
use crate::http::extract::ApiPath;
use crate::http::filter;
use crate::http::outcome::read_failed;
use crate::http::problem::Problem;
use crate::http::query::ApiQuery;
use crate::http::state::Edge;
use crate::http::told;

/// Events of a page when the client names no number.
const DEFAULT_LIMIT: usize = 100;

/// Most events of one page: about 1 MB of JSON.
const MAX_LIMIT: usize = 1000;

/// The streams of an order whose events its customer may see.
const OF_CUSTOMERS: [&str; 3] = ["order", "payment", "delivery"];

/// Which part of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Only events after this position; 0 = from the first
    #[serde(default)]
    after: i64,
    /// At most this many events (1 to 1000)
    limit: Option<usize>,
    /// Only streams of this category, such as `order`
    category: Option<String>,
}

/// Page through the log
///
/// Looks at no more than 10,000 positions, so a page may be empty although more follows: go on from `next`.
#[utoipa::path(get, path = "/events", tag = "log", params(EventQuery),
    responses((status = 200, description = "A page of events", body = EventPage), Refusals))]
pub async fn list(
    State(edge): State<Edge>,
    _operator: Operator,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> Result<Response, Problem> {
    let category = query.category.as_deref().map(parse_category).transpose()?;
    filter::size("limit", query.limit, MAX_LIMIT)?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let after = filter::after(query.after)?;
    let page = edge
        .store
        .read_all(after, limit, category.as_ref())
        .await
        .map_err(|error| read_failed(&error))?;
    let events = page.events.iter().map(WireEvent::from).collect();
    Ok(Json(EventPage {
        events,
        next: page.next.0,
    })
    .into_response())
}

/// The events of one order
///
/// A customer sees the order's, the payment's and the delivery's events, without the words of operators and providers; operators
/// see all of them, and its saga's.
#[utoipa::path(get, path = "/orders/{id}/events", tag = "log", params(("id" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "All events of the order", body = EventPage), Refusals))]
pub async fn of_order(
    State(edge): State<Edge>,
    principal: Principal,
    ApiPath(order): ApiPath<Uuid>,
) -> Result<Response, Problem> {
    edge.require_order(&principal, order).await?;
    let related = edge
        .store
        .read_related(order)
        .await
        .map_err(|error| read_failed(&error))?;
    let all = told::reads_all(&principal);
    let visible = related
        .iter()
        .filter(|event| all || OF_CUSTOMERS.contains(&event.stream.category.as_str()));
    let events: Vec<WireEvent<'_>> = visible
        .map(|event| WireEvent::told(&principal, event))
        .collect();
    let next = related.last().map_or(0, |event| event.position.0);
    Ok(Json(EventPage { events, next }).into_response())
}

/// The category named in a query.
pub(super) fn parse_category(text: &str) -> Result<Category, Problem> {
    let unknown = |_| {
        Problem::new(
            &catalogue::INVALID_QUERY,
            "category is not a name of a category, such as `order`.",
        )
    };
    Category::parse(text).map_err(unknown)
}
