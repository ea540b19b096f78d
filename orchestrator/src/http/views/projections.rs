//! `GET /projections`: how the views are.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use projections::{RunError, View};
use serde_json::json;

use crate::http::auth::Operator;
use crate::http::docs::Refusals;
use crate::http::extract::ApiPath;
use crate::http::outcome::store_unavailable;
use crate::http::problem::Problem;
use crate::http::state::Edge;

/// How all views are
///
/// Lag in positions and seconds, what a view waits for, parked keys, the rebuild under way.
#[utoipa::path(get, path = "/projections", tag = "views",
    responses((status = 200, description = "All views", body = Object), Refusals))]
pub async fn status(State(edge): State<Edge>, _operator: Operator) -> Result<Response, Problem> {
    let all = edge
        .projections
        .status()
        .await
        .map_err(|error| failed(&error))?;
    Ok(Json(json!({ "_embedded": { "projections": all } })).into_response())
}

/// How one view is
#[utoipa::path(get, path = "/projections/{name}", tag = "views",
    params(("name" = String, Path, description = "customer, message or saga")),
    responses((status = 200, description = "The view", body = Object), Refusals))]
pub async fn show(
    State(edge): State<Edge>,
    _operator: Operator,
    ApiPath(name): ApiPath<String>,
) -> Result<Response, Problem> {
    let status = edge
        .projections
        .status_of(view(&name)?)
        .await
        .map_err(|error| failed(&error))?;
    let last_rebuild = edge.rebuilds.last(&name);
    Ok(Json(json!({ "projection": status, "lastRebuild": last_rebuild })).into_response())
}

/// The view of that name.
pub(super) fn view(name: &str) -> Result<View, Problem> {
    name.parse()
        .map_err(|_| Problem::not_found("view; they are customer, message and saga"))
}

fn failed(error: &RunError) -> Problem {
    store_unavailable(error)
}
