//! `POST /reconcile` and `GET /reconcile`: comparing the providers' books with the log.

use std::time::Duration;

use aggregates::field::{FieldError, TextRule};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::auth::Operator;
use super::catalogue;
use super::docs::Refusals;
use super::extract::OptionalJsonBody;
use super::fields::Fields;
use super::outcome::read_failed;
use super::problem::{Problem, ProblemDocument};
use super::state::Edge;
use crate::fulfilment::reconcile::{Ask, Mode, ReconcileError};
use crate::saga::verbs::Request;

/// How long an answer waits for the comparison; a longer one goes on, and `GET /reconcile` shows what it came to.
const WAIT: Duration = Duration::from_secs(20);

/// What may stand in the log as a reason.
const REASON: TextRule = TextRule::line("The reason", 500);

/// What stands there where nobody gave one.
const NO_REASON: &str = "asked for without a reason";

/// The last comparison
///
/// What it found and what was done about it, and whether one is under way. Of this process only: where several serve one
/// shop, one of them compares.
#[utoipa::path(get, path = "/reconcile", tag = "operation",
    responses((status = 200, description = "`running`, and `last` or null", body = Object), Refusals))]
pub async fn show(State(edge): State<Edge>, _operator: Operator) -> Response {
    let reconciler = &edge.reconciler;
    let last = reconciler.last();
    Json(json!({ "running": reconciler.is_running(), "last": last.as_deref() })).into_response()
}

/// Compare the providers' books with the log
///
/// Every difference comes with what is at stake and what to do about it. With `fix` what is safe is set right, each time by
/// events of the saga concerned, and the rest is parked for a person. What is still under way is no difference.
#[utoipa::path(post, path = "/reconcile", tag = "operation",
    request_body(content = Object, example = json!({"since": "24h", "fix": true, "reason": "monthly closing"})),
    responses((status = 200, description = "The report", body = Object),
        (status = 202, description = "It goes on; GET /reconcile shows what it comes to", body = Object),
        (status = 409, description = "reconciling", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn compare(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    let wish = read(&body, Utc::now())
        .map_err(|errors| Problem::fields(&catalogue::INVALID_REQUEST, errors))?;
    let why = Request {
        actor: principal.name.to_string(),
        reason: wish.reason,
    };
    tracing::info!(by = %principal.name, fix = wish.fix, "comparing the providers' books with the log");
    let mode = if wish.fix {
        Mode::Requested
    } else {
        Mode::Look
    };
    let ask = Ask {
        since: wish.since,
        mode,
        why,
    };
    let (reconciler, stop) = (edge.reconciler.clone(), edge.stop.clone());
    // In a task of its own: a client that hangs up does not cut it.
    let work = edge.tasks.spawn(async move {
        let compared = stop.run_until_cancelled(reconciler.run(&ask)).await;
        compared.unwrap_or(Err(ReconcileError::Busy))
    });
    match timeout(WAIT, work).await {
        Ok(Ok(Ok(report))) => Ok(Json(&*report).into_response()),
        Ok(Ok(Err(ReconcileError::Busy))) => Err(Problem::new(&catalogue::RECONCILING, "")),
        Ok(Ok(Err(ReconcileError::Read(error)))) => Err(read_failed(&error)),
        Ok(Err(error)) => Err(Problem::internal(&error)),
        Err(_elapsed) => Ok((
            StatusCode::ACCEPTED,
            [(header::LOCATION, "/reconcile")],
            Json(json!({ "running": true })),
        )
            .into_response()),
    }
}

/// What somebody wants compared.
struct Wish {
    since: Option<DateTime<Utc>>,
    fix: bool,
    reason: String,
}

fn read(body: &Value, now: DateTime<Utc>) -> Result<Wish, Vec<FieldError>> {
    let mut errors = Vec::new();
    let Some(mut fields) = Fields::root(body, &mut errors) else {
        return Err(errors);
    };
    let since = fields.text("since").map(|text| moment(&text, now));
    if since == Some(None) {
        fields.refuse(
            "since",
            "since must be a moment (2026-11-22T09:30:00Z) or a time back from now (24h).",
        );
    }
    let fix = fields.flag("fix").unwrap_or_default();
    let reason = fields
        .text("reason")
        .unwrap_or_else(|| NO_REASON.to_owned());
    fields.finish();
    errors.extend(REASON.check("/reason", &reason));
    if errors.is_empty() {
        Ok(Wish {
            since: since.flatten(),
            fix,
            reason,
        })
    } else {
        Err(errors)
    }
}

/// A moment, or so long before now.
fn moment(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let back = TimeDelta::from_std(humantime::parse_duration(text).ok()?).ok()?;
    now.checked_sub_signed(back)
}
