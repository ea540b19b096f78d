//! `POST /sagas/{id}/{verb}`: what an operator can do about a saga. Each is an event: who, why, when.

use std::time::Duration;

use aggregates::field::FieldError;
use aggregates::saga::Verdict;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use uuid::Uuid;

use super::show::{load, summary};
use super::wish::{VERBS, Wish, wish};
use crate::http::auth::Operator;
use crate::http::catalogue;
use crate::http::consistency::preferred_wait;
use crate::http::docs::Refusals;
use crate::http::extract::{ApiPath, JsonBody};
use crate::http::fields::Fields;
use crate::http::outcome::verb_failed;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::Edge;
use crate::saga::aftermath::{Aftermath, End};
use crate::saga::verbs::{Request, Selection, Verb, VerbError};

/// How long the answer waits for what comes of it when the client does not say: one call of a provider.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// Intervene in a saga
///
/// `retry` a parked step, `resolve` it as done or undone on evidence, `skip` a step that may be left out, or `cancel`
/// the saga as the customer would. Without `step` the one that the saga hangs on is meant. The answer says what came of
/// it (`result`: completed, unwound, waiting, parked again, or still trying), for which it waits a moment, or as long as
/// `Prefer: wait=<seconds>` says, up to 30.
#[utoipa::path(post, path = "/sagas/{id}/{verb}", tag = "sagas",
    params(("id" = Uuid, Path, description = "The saga"), ("verb" = String, Path, description = "retry, resolve, skip or cancel"),
        ("Prefer" = Option<String>, Header, description = "wait=<seconds>")),
    request_body(content = Object, example = json!({
        "reason": "refunded by hand", "step": "refund", "outcome": "done", "evidence": {"ref": "R-17"}, "force": true
    })),
    responses((status = 200, description = "In the log, and this came of it", body = Object),
        (status = 202, description = "In the log; nothing has come of it yet", body = Object),
        (status = 409, description = "The saga is not in need of that", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn act(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    headers: HeaderMap,
    ApiPath((id, verb)): ApiPath<(Uuid, String)>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    if !VERBS.contains(&verb.as_str()) {
        return Err(Problem::not_found(
            "verb; they are retry, resolve, skip and cancel",
        ));
    }
    let (verb, wish) = read(&body, &verb)?;
    let request = Request {
        actor: principal.name.to_string(),
        reason: wish.reason,
    };
    let engine = edge.fulfilment.engine();
    let any = Selection::default();
    let taken = engine
        .act(id, &verb, wish.step.as_deref(), &any, &request)
        .await
        .map_err(|error| failed(&verb, &error))?;
    let step = taken.step.as_deref().unwrap_or("-");
    tracing::info!(saga = %id, step, verb = verb.name(), by = %principal.name, "an operator intervened");
    let wait = preferred_wait(&headers).unwrap_or(DEFAULT_WAIT);
    let aftermath = engine.aftermath(id, &taken, tokio::time::sleep(wait)).await;
    let mut document = summary(id, &load(&edge, id).await?.state);
    tell(&aftermath, &mut document);
    let status = match aftermath.end {
        End::Trying => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(document)).into_response())
}

/// What a person says a step came to becomes the order's books; where it cannot, it is the evidence that is refused. That it was
/// undone rests on none: then it is the books that say otherwise.
fn failed(verb: &Verb, error: &VerbError) -> Problem {
    match (verb, error) {
        (Verb::Resolve(finding), VerbError::Record(why)) if finding.outcome == Verdict::Undone => {
            Problem::new(&catalogue::CONFLICT, format!("{why}."))
        }
        (Verb::Resolve(_), VerbError::Record(why)) => {
            let refused = FieldError::new("/evidence", format!("{why}."));
            Problem::fields(&catalogue::INVALID_REQUEST, vec![refused])
        }
        _ => verb_failed(error),
    }
}

/// Adds what came of an intervention.
pub(super) fn tell(aftermath: &Aftermath, document: &mut Value) {
    document["result"] = aftermath.end.as_str().into();
    document["step"] = aftermath.step.clone().into();
    document["until"] = aftermath.until.map(|until| until.to_rfc3339()).into();
    document["code"] = aftermath.code.clone().into();
    document["reason"] = aftermath.reason.clone().into();
}

fn read(body: &Value, verb: &str) -> Result<(Verb, Wish), Problem> {
    let mut errors = Vec::new();
    let mut wished = None;
    if let Some(mut fields) = Fields::root(body, &mut errors) {
        let mut read = wish(&mut fields, Some(verb));
        wished = read.verb.take().map(|verb| (verb, read));
        fields.finish();
    }
    match wished {
        Some(wished) if errors.is_empty() => Ok(wished),
        _ => Err(Problem::fields(&catalogue::INVALID_REQUEST, errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::definition::RecordError;
    use crate::saga::verbs::Finding;

    #[test]
    fn what_the_books_speak_against_is_a_conflict_where_it_rests_on_no_evidence() {
        let error = VerbError::Record(RecordError::of("it left"));
        let status = |outcome| {
            let evidence = Value::Null;
            let finding = Finding {
                outcome,
                evidence,
                force: true,
            };
            let problem = failed(&Verb::Resolve(finding), &error);
            problem.into_response().status()
        };
        assert_eq!(status(Verdict::Undone), StatusCode::CONFLICT);
        assert_eq!(status(Verdict::Done), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
