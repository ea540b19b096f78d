//! `GET /mypages` (also `/customerviews`): what a customer wants to know about its orders.
//!
//! * [`document`] is what is shown of a row. What depends on the moment is computed there and never stored: [`standing`] and
//!   [`timeline`] are the words, [`account`] the money, [`cancelling`] what a request to cancel would come to.
//! * [`sheet`] is the same as CSV, [`stream`] as it changes, for those who have one of the [`seats`]: [`place`] is where such a one
//!   is among the changes, [`known`] what it has been told.

mod account;
mod cancelling;
mod document;
mod known;
mod place;
mod seats;
mod sheet;
mod standing;
mod stream;
mod timeline;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use futures_util::future::FutureExt;
use projections::{CustomerList, View};
use uuid::Uuid;

pub use seats::Seats;
pub use stream::{__path_changes, changes};

use super::counts::Counts;
use super::customer::{customer_filter, rows};
use super::export::{ReadPage, WantsCsv, export};
use super::list::{Collection, ListQuery, query_failed};
use crate::http::auth::Principal;
use crate::http::consistency::Freshness;
use crate::http::docs::Refusals;
use crate::http::extract::ApiPath;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::query::ApiQuery;
use crate::http::state::Edge;
use crate::http::told::told;
use document::Mypage;

/// List everything about orders, the youngest first
///
/// With `Accept: text/csv` the whole list as CSV, without anything that people wrote.
#[utoipa::path(get, path = "/mypages", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of the customer view", body = Collection), Refusals))]
pub async fn mypages(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    csv: WantsCsv,
    query: ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    list(state, principal, freshness, csv, query, "mypages").await
}

/// List everything about orders, the youngest first (another name of /mypages)
#[utoipa::path(get, path = "/customerviews", tag = "views", params(ListQuery),
    responses((status = 200, description = "A page of the customer view", body = Collection), Refusals))]
pub async fn customerviews(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    csv: WantsCsv,
    query: ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    list(state, principal, freshness, csv, query, "customerviews").await
}

/// All orders that fit as CSV, the youngest first
///
/// The whole list, or what is left of it after `cursor`. Streamed; an answer that breaks off is not the whole list.
#[utoipa::path(get, path = "/mypages.csv", tag = "views", params(ListQuery),
    responses((status = 200, description = "The customer view", body = String, content_type = "text/csv"), Refusals))]
pub async fn mypages_csv(
    state: State<Edge>,
    principal: Principal,
    freshness: Freshness,
    query: ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    list(
        state,
        principal,
        freshness,
        WantsCsv(true),
        query,
        "mypages",
    )
    .await
}

/// How many orders there are, by status
///
/// Within the same filters as the list, but for `status`.
#[utoipa::path(get, path = "/mypages/counts", tag = "views", params(ListQuery),
    responses((status = 200, description = "Orders by status", body = Counts), Refusals))]
pub async fn mypage_counts(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Response, Problem> {
    let filter = customer_filter(&principal, &query, CustomerList::Orders)?;
    freshness.of(&edge, View::Customer).await?;
    let Some(filter) = filter else {
        return Ok(Counts::none().into_response());
    };
    let counted = edge.projections.count_customer_rows(&filter).await;
    let counted = counted.map_err(|error| query_failed(&error))?;
    Ok(Counts::from(counted).into_response())
}

/// Read everything about one order
#[utoipa::path(get, path = "/mypages/{orderId}", tag = "views",
    params(("orderId" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order in the customer view", body = Object),
        (status = 409, description = "view-parked, token-of-another-log", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
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
    responses((status = 200, description = "The order in the customer view", body = Object),
        (status = 409, description = "view-parked, token-of-another-log", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
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
    WantsCsv(csv): WantsCsv,
    ApiQuery(query): ApiQuery<ListQuery>,
    name: &str,
) -> Result<Response, Problem> {
    if csv {
        let filter = customer_filter(&principal, &query, CustomerList::Orders)?;
        freshness.of(&edge, View::Customer).await?;
        let views = edge.projections.clone();
        let read: ReadPage = Box::new(move |page| {
            let (views, filter) = (views.clone(), filter.clone());
            async move {
                let Some(filter) = filter else {
                    return Ok((Vec::new(), None));
                };
                let page = views.customer_rows(&filter, &page).await?;
                Ok((sheet::rows(&page.rows), page.next))
            }
            .boxed()
        });
        return export(&edge, name, &sheet::COLUMNS, query.cursor(), read).await;
    }
    let page = rows(&edge, &principal, &freshness, &query, CustomerList::Orders).await?;
    let (limits, now) = (edge.fulfilment.limits(), Utc::now());
    Ok(query.answer_page(name, &[], &page, |row| Mypage::new(row, name, limits, now)))
}

async fn one(
    State(edge): State<Edge>,
    principal: Principal,
    freshness: Freshness,
    ApiPath(order): ApiPath<Uuid>,
    name: &str,
) -> Result<Response, Problem> {
    freshness.of_row(&edge, View::Customer, order).await?;
    let row = edge
        .projections
        .customer_row(order)
        .await
        .map_err(|error| query_failed(&error))?;
    match row.filter(|row| principal.may_see(&row.customer_id)) {
        Some(row) => {
            let row = told(&principal, row);
            let limits = edge.fulfilment.limits();
            Ok(Json(Mypage::new(&row, name, limits, Utc::now())).into_response())
        }
        None => Err(Problem::not_found("order")),
    }
}

#[cfg(test)]
mod tests;
