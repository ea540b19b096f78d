//! `POST /projections/{name}/rebuild`: folding a view anew.

use std::time::Duration;

use aggregates::field::FieldError;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use projections::{Cutover, RebuildOptions, WORKERS_MAX};
use serde_json::{Value, json};

use super::projections::view;
use crate::http::auth::Operator;
use crate::http::catalogue;
use crate::http::docs::Refusals;
use crate::http::extract::{ApiPath, OptionalJsonBody};
use crate::http::fields::Fields;
use crate::http::outcome::store_unavailable;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::Edge;

/// Fold a view anew from the first event
///
/// Readers see the live rows until the new ones take their place. GET /projections/{name} shows the progress, and what it has
/// come to under `lastRebuild`. With `verify` the new rows are first compared with the live ones, and do not take their
/// place where any differs; with `cutover` `manual` they never do. `resume` goes on with such a rebuild, or with one that was
/// cut off. `parallel` is the number of threads, at most one for each core, `checkpointEvery` how much work a kill may cost.
/// `dropOld`, alone, drops what the last rebuild has replaced, at once.
#[utoipa::path(post, path = "/projections/{name}/rebuild", tag = "views",
    params(("name" = String, Path, description = "customer, message or saga")),
    request_body(content = Object, example = json!({"verify": true, "cutover": "auto", "resume": false, "parallel": 2, "checkpointEvery": "30s"})),
    responses((status = 202, description = "Started", body = Object),
        (status = 200, description = "The old table is dropped, if there was one (`dropOld`)", body = Object),
        (status = 409, description = "Already under way", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn rebuild(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    ApiPath(name): ApiPath<String>,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    let view = view(&name)?;
    let wish =
        read(&body).map_err(|errors| Problem::fields(&catalogue::INVALID_REQUEST, errors))?;
    let Wish::Rebuild(options) = wish else {
        let dropped = edge.projections.drop_old(view).await;
        let dropped = dropped.map_err(|error| store_unavailable(&error))?;
        tracing::info!(view = %view, by = %principal.name, dropped, "dropping the old table of a view");
        return Ok(Json(json!({ "projection": name, "dropped": dropped > 0 })).into_response());
    };
    let options = options.within_cores();
    let started = edge
        .rebuilds
        .start(&edge.projections, view, options, &edge.tasks, &edge.stop);
    if !started {
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

/// What somebody wants done.
#[derive(Debug, PartialEq)]
enum Wish {
    Rebuild(RebuildOptions),
    DropOld,
}

fn read(body: &Value) -> Result<Wish, Vec<FieldError>> {
    let mut errors = Vec::new();
    // The body of a plain rebuild was once `null`.
    if body.is_null() {
        return Ok(Wish::Rebuild(RebuildOptions::default()));
    }
    let Some(mut fields) = Fields::root(body, &mut errors) else {
        return Err(errors);
    };
    let usual = RebuildOptions::default();
    let options = RebuildOptions {
        verify: fields.flag("verify").unwrap_or_default(),
        cutover: cutover(&mut fields),
        resume: fields.flag("resume").unwrap_or_default(),
        workers: workers(&mut fields).unwrap_or(usual.workers),
        checkpoint_every: period(&mut fields).unwrap_or(usual.checkpoint_every),
    };
    let drop_old = fields.flag("dropOld").unwrap_or_default();
    if drop_old && options != RebuildOptions::default() {
        fields.refuse(
            "dropOld",
            "dropOld goes with no other field: it rebuilds nothing.",
        );
    }
    fields.finish();
    match errors.is_empty() {
        true if drop_old => Ok(Wish::DropOld),
        true => Ok(Wish::Rebuild(options)),
        false => Err(errors),
    }
}

fn cutover(fields: &mut Fields<'_>) -> Cutover {
    match fields.text("cutover").as_deref() {
        None | Some("auto") => Cutover::Auto,
        Some("manual") => Cutover::Manual,
        Some(_) => {
            fields.refuse("cutover", "cutover must be auto or manual.");
            Cutover::Auto
        }
    }
}

fn workers(fields: &mut Fields<'_>) -> Option<usize> {
    let number = fields.integer("parallel")?;
    let workers = usize::try_from(number).ok();
    let workers = workers.filter(|workers| (1..=WORKERS_MAX).contains(workers));
    if workers.is_none() {
        fields.refuse("parallel", format!("parallel must be 1 to {WORKERS_MAX}."));
    }
    workers
}

fn period(fields: &mut Fields<'_>) -> Option<Duration> {
    let text = fields.text("checkpointEvery")?;
    let period = humantime::parse_duration(&text).ok();
    if period.is_none() {
        fields.refuse(
            "checkpointEvery",
            "checkpointEvery must be a time such as 30s.",
        );
    }
    period
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_with_the_usual_for_what_it_does_not_say() {
        let usual = Wish::Rebuild(RebuildOptions::default());
        assert_eq!(read(&json!({})), Ok(usual));
        assert_eq!(read(&json!({ "dropOld": true })), Ok(Wish::DropOld));
        let all = json!({"verify": true, "cutover": "manual", "resume": true, "parallel": 3, "checkpointEvery": "2s"});
        let options = RebuildOptions {
            workers: 3,
            verify: true,
            cutover: Cutover::Manual,
            resume: true,
            checkpoint_every: Duration::from_secs(2),
        };
        assert_eq!(read(&all), Ok(Wish::Rebuild(options)));
    }

    #[test]
    fn every_field_that_makes_no_sense_is_named() {
        let body = json!({"verify": 1, "cutover": "now", "parallel": 0, "checkpointEvery": "soon", "paralel": 2});
        let errors = read(&body).expect_err("refused");
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        let expected = [
            "/verify",
            "/cutover",
            "/parallel",
            "/checkpointEvery",
            "/paralel",
        ];
        assert_eq!(pointers, expected);
        let both = read(&json!({ "dropOld": true, "verify": true }));
        assert_eq!(both.expect_err("refused")[0].pointer, "/dropOld");
    }
}
