//! `GET /projections` and `POST /projections/{name}/rebuild`: how the views are, and folding them anew.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use projections::{RunError, View};
use serde_json::json;

use crate::http::auth::Operator;
use crate::http::catalogue;
use crate::http::docs::Refusals;
use crate::http::extract::ApiPath;
use crate::http::outcome::store_unavailable;
use crate::http::problem::{Problem, ProblemDocument};
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

/// Fold a view anew from the first event
///
/// Readers see the live rows until the new ones take their place. GET /projections/{name} shows the progress.
#[utoipa::path(post, path = "/projections/{name}/rebuild", tag = "views",
    params(("name" = String, Path, description = "customer, message or saga")),
    responses((status = 202, description = "Started", body = Object),
        (status = 409, description = "Already under way", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn rebuild(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    ApiPath(name): ApiPath<String>,
) -> Result<Response, Problem> {
    let view = view(&name)?;
    if !edge
        .rebuilds
        .start(&edge.projections, view, &edge.tasks, &edge.stop)
    {
        return Err(Problem::new(
            &catalogue::CONFLICT,
            format!("The view {name} is being rebuilt already."),
        ));
    }
    tracing::info!(view = %view, by = %principal.name, "rebuilding a view");
    let place = format!("/projections/{name}");
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, place.clone())],
        Json(json!({ "projection": name, "status": place })),
    )
        .into_response())
}

fn view(name: &str) -> Result<View, Problem> {
    name.parse()
        .map_err(|_| Problem::not_found("view; they are customer, message and saga"))
}

fn failed(error: &RunError) -> Problem {
    store_unavailable(error)
}
