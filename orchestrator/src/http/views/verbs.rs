//! `POST /projections/{name}/{verb}` and `GET /projections/{name}/parked/{key}`: what is parked in a view, and what operators
//! do about it. Each verb is an event: who, why, when.

use std::time::Duration;

use aggregates::field::REASON;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use projections::PARKED_LISTED;
use serde_json::{Value, json};
use uuid::Uuid;

use super::projections::view;
use crate::http::auth::Operator;
use crate::http::catalogue;
use crate::http::consistency::preferred_wait;
use crate::http::docs::Refusals;
use crate::http::extract::{ApiPath, JsonBody};
use crate::http::fields::Fields;
use crate::http::outcome::{read_failed, store_unavailable};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::Edge;
use crate::view_verbs::{Came, Request, Verb, VerbError, act};

/// How long the answer waits for the view when the client does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// What is parked of one key
///
/// The first hundred events that a key of a view could not take or that follow one, in order. None: it is not parked.
#[utoipa::path(get, path = "/projections/{name}/parked/{key}", tag = "views",
    params(("name" = String, Path, description = "customer, message or saga"),
        ("key" = Uuid, Path, description = "The key, as the view lists it")),
    responses((status = 200, description = "The events", body = Object), Refusals))]
pub async fn parked(
    State(edge): State<Edge>,
    _operator: Operator,
    ApiPath((name, key)): ApiPath<(String, Uuid)>,
) -> Result<Response, Problem> {
    let events = edge
        .projections
        .parked_events(view(&name)?, key, PARKED_LISTED)
        .await
        .map_err(|error| store_unavailable(&error))?;
    Ok(Json(json!({ "key": key, "_embedded": { "parked": events } })).into_response())
}

/// Intervene in a view
///
/// `retry` takes what is parked once more, in order: of `key`, or of all keys. `skip` leaves out the first parked event of
/// `key` for ever, whose `position` is named so that two who do it at once do not leave out two, and goes on with what
/// follows. `pause` has the view stand still until `resume`. The answer says what came of it (`result`: released, parked,
/// rebuilding, paused, resumed, or pending), for which it waits a moment, or as long as `Prefer: wait=<seconds>` says.
#[utoipa::path(post, path = "/projections/{name}/{verb}", tag = "views",
    params(("name" = String, Path, description = "customer, message or saga"),
        ("verb" = String, Path, description = "retry, skip, pause or resume"),
        ("Prefer" = Option<String>, Header, description = "wait=<seconds>")),
    request_body(content = Object, example = json!({
        "reason": "a duplicate that the import made", "key": "0198f6b2-3c1d-7d0e-9d5a-1f2e3d4c5b6a", "position": 4711
    })),
    responses((status = 200, description = "In the log, and this came of it", body = Object),
        (status = 202, description = "In the log; the view has not come to it yet", body = Object),
        (status = 409, description = "The view has no need of that", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn intervene(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    headers: HeaderMap,
    ApiPath((name, verb)): ApiPath<(String, String)>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let view = view(&name)?;
    let (verb, reason) = read(&verb, &body)?;
    let request = Request {
        actor: principal.name.to_string(),
        reason,
    };
    let wait = preferred_wait(&headers).unwrap_or(DEFAULT_WAIT);
    let came = act(&edge.store, &edge.projections, view, verb, request, wait)
        .await
        .map_err(|error| failed(&error))?;
    tracing::info!(view = %view, verb = verb.name(), by = %principal.name, "an operator intervened in a view");
    let status = match came {
        Came::Pending => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(document(&name, verb, &came))).into_response())
}

fn document(name: &str, verb: Verb, came: &Came) -> Value {
    let mut document = json!({ "projection": name, "verb": verb.name() });
    document["key"] = match verb {
        Verb::Retry(key) => json!(key),
        Verb::Skip(key, _) => json!(key),
        Verb::Pause | Verb::Resume => Value::Null,
    };
    document["result"] = match came {
        Came::Released => "released",
        Came::Parked(_) | Came::ParkedKeys(_) => "parked",
        Came::Rebuilding(_) => "rebuilding",
        Came::Paused => "paused",
        Came::Resumed => "resumed",
        Came::Pending => "pending",
    }
    .into();
    match came {
        Came::Parked(first) => {
            document["position"] = json!(first.position);
            document["reason"] = first.reason.clone().into();
        }
        Came::ParkedKeys(keys) => document["parkedKeys"] = (*keys).into(),
        Came::Rebuilding(reason) => document["reason"] = reason.clone().into(),
        Came::Released | Came::Paused | Came::Resumed | Came::Pending => {}
    }
    document
}

fn read(verb: &str, body: &Value) -> Result<(Verb, String), Problem> {
    if !["retry", "skip", "pause", "resume"].contains(&verb) {
        return Err(Problem::not_found(
            "verb; they are retry, skip, pause and resume",
        ));
    }
    let mut errors = Vec::new();
    let wish = Fields::root(body, &mut errors).map(|mut fields| {
        let reason = fields.required_text("reason");
        if let Some(error) = reason.as_deref().and_then(|text| REASON.check("", text)) {
            fields.refuse("reason", error.detail);
        }
        let verb = match verb {
            "retry" => Some(Verb::Retry(key(&mut fields))),
            "skip" => skip(&mut fields),
            "pause" => Some(Verb::Pause),
            _ => Some(Verb::Resume),
        };
        fields.finish();
        verb.zip(reason)
    });
    match wish.flatten() {
        Some(wish) if errors.is_empty() => Ok(wish),
        _ => Err(Problem::fields(&catalogue::INVALID_REQUEST, errors)),
    }
}

fn skip(fields: &mut Fields<'_>) -> Option<Verb> {
    let position = fields.required_integer("position");
    if !fields.has("key") {
        fields.refuse("key", "key is missing.");
    }
    Some(Verb::Skip(key(fields)?, position?))
}

fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
    let text = fields.text("key")?;
    let key = Uuid::try_parse(&text).ok();
    if key.is_none() {
        fields.refuse("key", "key must be a UUID.");
    }
    key
}

fn failed(error: &VerbError) -> Problem {
    match error {
        VerbError::Rejected(rejection) => {
            Problem::new(&catalogue::CONFLICT, format!("{rejection}."))
        }
        VerbError::Log(error) => read_failed(error),
        VerbError::View(_) | VerbError::Record(_) => store_unavailable(error),
    }
}
