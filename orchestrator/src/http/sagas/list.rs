//! `GET /sagas`.

use aggregates::saga::Status;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use projections::{PageRequest, SagaFilter, View};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::auth::Operator;
use crate::http::consistency::Freshness;
use crate::http::docs::Refusals;
use crate::http::filter;
use crate::http::hal;
use crate::http::problem::Problem;
use crate::http::query::ApiQuery;
use crate::http::state::Edge;
use crate::http::views::{Collection, query_failed};

/// Which sagas.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct SagaQuery {
    /// running, waiting, unwinding, parked, completed or unwound
    status: Option<String>,
    /// Only those that hang on this step
    step: Option<String>,
    /// Only those whose next action is late
    #[serde(default)]
    overdue: bool,
    /// Rows per page (1 to 500)
    size: Option<usize>,
    /// `page.next` of the page before
    cursor: Option<String>,
    /// With `overdue`: the moment that is meant, now if absent. `_links.next` carries it, so that all pages mean the same
    as_of: Option<chrono::DateTime<Utc>>,
    /// Wait until the view shows this consistency token or position
    #[expect(
        dead_code,
        reason = "read by Freshness; named here for the description"
    )]
    at_least: Option<String>,
}

/// List sagas, the youngest first
#[utoipa::path(get, path = "/sagas", tag = "sagas", params(SagaQuery),
    responses((status = 200, description = "A page of sagas", body = Collection), Refusals))]
pub async fn list(
    State(edge): State<Edge>,
    _operator: Operator,
    freshness: Freshness,
    ApiQuery(query): ApiQuery<SagaQuery>,
) -> Result<Response, Problem> {
    filter::one_of::<Status>("status", query.status.as_deref())?;
    filter::text("step", query.step.as_deref())?;
    filter::page_size(query.size)?;
    freshness.of(&edge, View::Saga).await?;
    let size = query
        .size
        .unwrap_or(hal::DEFAULT_SIZE)
        .clamp(1, hal::MAX_SIZE);
    let due_by = query.overdue.then(|| query.as_of.unwrap_or_else(Utc::now));
    let filter = SagaFilter {
        status: query.status.clone(),
        step: query.step.clone(),
        due_by,
    };
    let page = edge
        .projections
        .saga_rows(
            &filter,
            &PageRequest {
                size,
                cursor: query.cursor,
            },
        )
        .await
        .map_err(|error| query_failed(&error))?;
    let as_of = due_by.map(|at| at.to_rfc3339());
    let overdue = query.overdue.then_some("true");
    let filters = [
        ("status", query.status.as_deref()),
        ("step", query.step.as_deref()),
        ("overdue", overdue),
        ("asOf", as_of.as_deref()),
    ];
    let filters: Vec<(&str, &str)> = filters
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)))
        .collect();
    Ok(Json(hal::page(
        "sagas",
        &filters,
        size,
        &page.rows,
        page.next.as_deref(),
    ))
    .into_response())
}
