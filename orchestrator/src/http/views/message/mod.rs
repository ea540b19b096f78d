//! `GET /kakaos` and `GET /kakaomsgs`: the message view. [`document`] is what is shown of a row, [`sheet`] the same as CSV.

mod document;
mod sheet;

use aggregates::kakao::Kind;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::future::FutureExt;
use projections::message::{MessageRow, MessageState};
use projections::{MessageFilter, Page, View};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::counts::Counts;
use super::export::{ReadPage, WantsCsv, export};
use super::list::{Collection, ListQuery, Scope, nothing, query_failed};
use crate::http::auth::Principal;
use crate::http::consistency::Freshness;
use crate::http::docs::Refusals;
use crate::http::extract::ApiPath;
use crate::http::filter;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::query::ApiQueries;
use crate::http::state::Edge;
use crate::http::told::{reads_all, told};
use document::{MessageItem, Sending};

/// Which messages, beside what all lists can be asked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Only those for this: shipped, canceled or direct
    kind: Option<String>,
    /// Only those that this became of: requested, sent, failed or suppressed
    state: Option<String>,
}

/// List messages, the youngest first
#[utoipa::path(get, path = "/kakaos", tag = "views", params(ListQuery, MessageQuery),
    responses((status = 200, description = "A page of messages", body = Collection), Refusals))]
pub async fn kakaos(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    csv: WantsCsv,
    queries: ApiQueries<ListQuery, MessageQuery>,
) -> Result<Response, Problem> {
    list(state, principal, freshness, csv, queries, "kakaos").await
}

/// List the message view, the youngest first
///
/// With `Accept: text/csv` the whole list as CSV, without the texts and without anything that people wrote.
#[utoipa::path(get, path = "/kakaomsgs", tag = "views", params(ListQuery, MessageQuery),
    responses((status = 200, description = "A page of messages", body = Collection), Refusals))]
pub async fn kakaomsgs(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    csv: WantsCsv,
    queries: ApiQueries<ListQuery, MessageQuery>,
) -> Result<Response, Problem> {
    list(state, principal, freshness, csv, queries, "kakaomsgs").await
}

/// All messages that fit as CSV, the youngest first
///
/// The whole list, or what is left of it after `cursor`. Streamed; an answer that breaks off is not the whole list.
#[utoipa::path(get, path = "/kakaomsgs.csv", tag = "views", params(ListQuery, MessageQuery),
    responses((status = 200, description = "The message view", body = String, content_type = "text/csv"), Refusals))]
pub async fn kakaomsgs_csv(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    queries: ApiQueries<ListQuery, MessageQuery>,
) -> Result<Response, Problem> {
    let csv = WantsCsv(true);
    list(state, principal, freshness, csv, queries, "kakaomsgs").await
}

/// How many messages there are, by what became of them
///
/// Within the same filters as the list, but for `state`.
#[utoipa::path(get, path = "/kakaomsgs/counts", tag = "views", params(ListQuery, MessageQuery),
    responses((status = 200, description = "Messages by state", body = Counts), Refusals))]
pub async fn kakaomsg_counts(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQueries(query, more): ApiQueries<ListQuery, MessageQuery>,
) -> Result<Response, Problem> {
    let filter = message_filter(&principal, &query, &more)?;
    freshness.of(&edge, View::Message).await?;
    let Some(filter) = filter else {
        return Ok(Counts::none().into_response());
    };
    let counted = edge.projections.count_message_rows(&filter).await;
    let counted = counted.map_err(|error| query_failed(&error))?;
    Ok(Counts::from(counted).into_response())
}

/// Read one message from the message view
///
/// With what is being done about it, as long as it is neither sent nor given up.
#[utoipa::path(get, path = "/kakaomsgs/{id}", tag = "views", params(("id" = Uuid, Path, description = "The message")),
    responses((status = 200, description = "The message", body = Object),
        (status = 409, description = "view-parked, token-of-another-log", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn kakaomsg(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Response, Problem> {
    freshness.of_row(&edge, View::Message, id).await?;
    let row = edge
        .projections
        .message_row(id)
        .await
        .map_err(|error| query_failed(&error))?;
    match row.filter(|row| principal.may_see(&row.customer_id)) {
        Some(row) => {
            let sending = sending(&edge, &principal, &row).await?;
            let row = told(&principal, row);
            let item = MessageItem::new(&row, "kakaomsgs").with(sending);
            Ok(Json(item).into_response())
        }
        None => Err(Problem::not_found("message")),
    }
}

/// What is being done about a message: its saga knows. Why an attempt failed is for those who run the shop.
async fn sending(
    edge: &Edge,
    reader: &Principal,
    row: &MessageRow,
) -> Result<Option<Sending>, Problem> {
    if row.state != MessageState::Requested {
        return Ok(None);
    }
    let sender = crate::fulfilment::messages::sender(row.kind, &row.order_id, row.message_id);
    let Some((saga, step)) = sender else {
        return Ok(None);
    };
    let saga = edge.projections.saga().row(saga).await;
    let saga = saga.map_err(|error| query_failed(&error))?;
    let sending = saga.and_then(|saga| saga.state().step(step).map(Sending::from));
    Ok(match reads_all(reader) {
        true => sending,
        false => sending.map(Sending::without_reason),
    })
}

async fn list(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    WantsCsv(csv): WantsCsv,
    ApiQueries(query, more): ApiQueries<ListQuery, MessageQuery>,
    name: &str,
) -> Result<Response, Problem> {
    let filter = message_filter(&principal, &query, &more)?;
    freshness.of(&edge, View::Message).await?;
    if csv {
        let views = edge.projections.clone();
        let read: ReadPage = Box::new(move |page| {
            let (views, filter) = (views.clone(), filter.clone());
            async move {
                let Some(filter) = filter else {
                    return Ok((Vec::new(), None));
                };
                let page = views.message_rows(&filter, &page).await?;
                Ok((sheet::rows(&page.rows), page.next))
            }
            .boxed()
        });
        return export(&edge, name, &sheet::COLUMNS, query.cursor(), read).await;
    }
    let page: Page<MessageRow> = match filter {
        Some(filter) => {
            let page = edge.projections.message_rows(&filter, &query.page()).await;
            told(&principal, page.map_err(|error| query_failed(&error))?)
        }
        None => nothing(),
    };
    let own = [
        ("kind", more.kind.as_deref()),
        ("state", more.state.as_deref()),
    ];
    Ok(query.answer_page(name, &own, &page, |row| MessageItem::new(row, name)))
}

/// What a list asks for, checked; `None` where its caller may see nothing of it. A message's status is its sender's own word,
/// so that any may exist.
fn message_filter(
    principal: &Principal,
    query: &ListQuery,
    more: &MessageQuery,
) -> Result<Option<MessageFilter>, Problem> {
    query.check()?;
    let kind = filter::one_of::<Kind>("kind", more.kind.as_deref())?;
    let state = filter::one_of::<MessageState>("state", more.state.as_deref())?;
    let requested = query.span()?;
    let customer_id = match query.customer(principal) {
        Scope::All => None,
        Scope::One(customer) => Some(customer),
        Scope::Nothing => return Ok(None),
    };
    Ok(Some(MessageFilter {
        customer_id,
        order_id: query.q(),
        status: query.status.clone(),
        state,
        kind,
        requested,
    }))
}
