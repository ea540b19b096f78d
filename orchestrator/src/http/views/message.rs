//! `GET /kakaos` and `GET /kakaomsgs`: the message view.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use projections::message::MessageRow;
use projections::{MessageFilter, Page, View};
use serde::Serialize;
use uuid::Uuid;

use super::customer::Links;
use super::list::{Collection, ListQuery, Scope, query_failed};
use crate::http::auth::Principal;
use crate::http::consistency::Freshness;
use crate::http::docs::Refusals;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::problem::Problem;
use crate::http::state::Edge;

/// List messages, the youngest first
#[utoipa::path(get, path = "/kakaos", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of messages", body = Collection), Refusals))]
pub async fn kakaos(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    let page = rows(&edge, &principal, &freshness, &query).await?;
    Ok(query.answer_page("kakaos", &page, |row| MessageItem::new(row, "kakaos")))
}

/// List the message view, the youngest first
#[utoipa::path(get, path = "/kakaomsgs", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of messages", body = Collection), Refusals))]
pub async fn kakaomsgs(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    let page = rows(&edge, &principal, &freshness, &query).await?;
    Ok(query.answer_page("kakaomsgs", &page, |row| MessageItem::new(row, "kakaomsgs")))
}

/// Read one message from the message view
#[utoipa::path(get, path = "/kakaomsgs/{id}", tag = "views", params(("id" = Uuid, Path, description = "The message")),
    responses((status = 200, description = "The message", body = Object), Refusals))]
pub async fn kakaomsg(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Response, Problem> {
    freshness.of(&edge, View::Message).await?;
    let row = edge
        .projections
        .message_row(id)
        .await
        .map_err(|error| query_failed(&error))?;
    match row.filter(|row| principal.may_see(&row.customer_id)) {
        Some(row) => Ok(Json(MessageItem::new(&row, "kakaomsgs")).into_response()),
        None => Err(Problem::not_found("message")),
    }
}

async fn rows(
    edge: &Edge,
    principal: &Principal,
    freshness: &Freshness,
    query: &ListQuery,
) -> Result<Page<MessageRow>, Problem> {
    // A message's status is its sender's own word, so that any may exist.
    query.check()?;
    freshness.of(edge, View::Message).await?;
    let customer_id = match query.customer(principal) {
        Scope::All => None,
        Scope::One(customer) => Some(customer),
        Scope::Nothing => {
            return Ok(Page {
                rows: Vec::new(),
                next: None,
                position: eventstore::Position::ZERO,
            });
        }
    };
    let filter = MessageFilter {
        customer_id,
        status: query.status.clone(),
        ..MessageFilter::default()
    };
    edge.projections
        .message_rows(&filter, &query.page())
        .await
        .map_err(|error| query_failed(&error))
}

/// A message in a list.
#[derive(Serialize)]
struct MessageItem<'a> {
    id: Uuid,
    #[serde(flatten)]
    row: &'a MessageRow,
    #[serde(rename = "_links")]
    links: Links,
}

impl<'a> MessageItem<'a> {
    fn new(row: &'a MessageRow, collection: &str) -> MessageItem<'a> {
        MessageItem {
            id: row.message_id,
            row,
            links: Links::to(collection, row.message_id),
        }
    }
}
