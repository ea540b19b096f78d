//! `POST /sagas/{id}/{verb}`: what an operator can do about a saga. Each is an event: who, why, when.

use aggregates::field::TextRule;
use aggregates::saga::Verdict;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use uuid::Uuid;

use super::show::summary;
use crate::http::auth::Operator;
use crate::http::catalogue;
use crate::http::docs::Refusals;
use crate::http::extract::{ApiPath, JsonBody};
use crate::http::fields::Fields;
use crate::http::outcome::{load_saga_failed, read_failed, verb_failed};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::Edge;
use crate::saga::verbs::{Cancel, Finding, Request};
use crate::saga::view::{LoadError, Snapshot};

/// What may stand in the log as a reason.
const REASON: TextRule = TextRule::line("The reason", 500);

/// The body of every verb.
struct Wish {
    reason: String,
    step: Option<String>,
    outcome: Option<Verdict>,
    evidence: Value,
    force: bool,
}

/// Intervene in a saga
///
/// `retry` a parked step, `resolve` it as done or undone on evidence, `skip` a step that may be left out, or `cancel`
/// the saga as the customer would. Without `step` the one that the saga hangs on is meant.
#[utoipa::path(post, path = "/sagas/{id}/{verb}", tag = "sagas",
    params(("id" = Uuid, Path, description = "The saga"), ("verb" = String, Path, description = "retry, resolve, skip or cancel")),
    request_body(content = Object, example = json!({
        "reason": "refunded by hand", "step": "refund", "outcome": "done", "evidence": {"refundRef": "R-17"}, "force": false
    })),
    responses((status = 202, description = "In the log; the saga goes on", body = Object),
        (status = 409, description = "The saga is not in need of that", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn act(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    ApiPath((id, verb)): ApiPath<(Uuid, String)>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    if !["retry", "resolve", "skip", "cancel"].contains(&verb.as_str()) {
        return Err(Problem::not_found(
            "verb; they are retry, resolve, skip and cancel",
        ));
    }
    let wish = read(&body, &verb)
        .map_err(|errors| Problem::fields(&catalogue::INVALID_REQUEST, errors))?;
    let request = Request {
        actor: principal.name.to_string(),
        reason: wish.reason.clone(),
    };
    let engine = edge.fulfilment.engine();
    if verb == "cancel" {
        let answer = engine
            .cancel(id, &request)
            .await
            .map_err(|error| verb_failed(&error))?;
        if let Cancel::Refused { code } = answer {
            return Err(Problem::new(
                &catalogue::PAST_POINT_OF_NO_RETURN,
                format!("The saga says {code}."),
            ));
        }
        return shown(&edge, id).await;
    }
    let step = match wish.step {
        Some(step) => step,
        None => current_step(&edge, id).await?,
    };
    let done = match (verb.as_str(), wish.outcome) {
        ("retry", _) => engine.retry(id, &step, &request).await,
        ("resolve", Some(outcome)) => {
            let finding = Finding {
                outcome,
                evidence: wish.evidence,
                force: wish.force,
            };
            engine.resolve(id, &step, finding, &request).await
        }
        _ => engine.skip(id, &step, &request).await,
    };
    done.map_err(|error| verb_failed(&error))?;
    tracing::info!(saga = %id, step, verb, by = %principal.name, "an operator intervened");
    shown(&edge, id).await
}

async fn load(edge: &Edge, id: Uuid) -> Result<Snapshot, Problem> {
    let events = edge
        .store
        .read_related(id)
        .await
        .map_err(|error| read_failed(&error))?;
    Snapshot::fold(id, events).map_err(|left| load_saga_failed(&LoadError::LeftAlone(left)))
}

async fn current_step(edge: &Edge, id: Uuid) -> Result<String, Problem> {
    let snapshot = load(edge, id).await?;
    let current = snapshot.state.current().map(|step| step.name.clone());
    current.ok_or_else(|| {
        Problem::new(
            &catalogue::CONFLICT,
            "The saga hangs on no step; nothing needs help.",
        )
    })
}

async fn shown(edge: &Edge, id: Uuid) -> Result<Response, Problem> {
    let snapshot = load(edge, id).await?;
    Ok((StatusCode::ACCEPTED, Json(summary(id, &snapshot.state))).into_response())
}

fn read(body: &Value, verb: &str) -> Result<Wish, Vec<aggregates::field::FieldError>> {
    let mut errors = Vec::new();
    let Some(mut fields) = Fields::root(body, &mut errors) else {
        return Err(errors);
    };
    let reason = fields.required_text("reason");
    let step = fields.text("step");
    let outcome = match fields.text("outcome").as_deref() {
        Some("done") => Some(Verdict::Done),
        Some("undone") => Some(Verdict::Undone),
        Some(_) => {
            fields.refuse("outcome", "outcome must be done or undone.");
            None
        }
        None => {
            if verb == "resolve" && !fields.has("outcome") {
                fields.refuse("outcome", "outcome is missing.");
            }
            None
        }
    };
    let evidence = fields.any("evidence").unwrap_or(Value::Null);
    let force = fields.flag("force").unwrap_or_default();
    fields.finish();
    errors.extend(
        reason
            .as_deref()
            .and_then(|reason| REASON.check("/reason", reason)),
    );
    match reason {
        Some(reason) if errors.is_empty() => Ok(Wish {
            reason,
            step,
            outcome,
            evidence,
            force,
        }),
        _ => Err(errors),
    }
}
