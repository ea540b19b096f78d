//! `GET /sagas/{id}`: where a saga stands, what it waits for, what remains, and how it came there.

use aggregates::saga::{Phase, Standing, State as SagaState, Step};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use eventstore::RecordedEvent;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::auth::Operator;
use crate::http::docs::Refusals;
use crate::http::extract::ApiPath;
use crate::http::log::WireEvent;
use crate::http::outcome::{load_saga_failed, read_failed};
use crate::http::problem::Problem;
use crate::http::state::Edge;
use crate::saga::definition::{Definition, Saga};
use crate::saga::view::{LoadError, SAGA, Snapshot};

/// Show one saga
///
/// Folded from its own events, so it is always current: its state, what it waits for and until when, what remains
/// to be done, and its history.
#[utoipa::path(get, path = "/sagas/{id}", tag = "sagas",
    params(("id" = Uuid, Path, description = "The saga; of an order it has the order's id")),
    responses((status = 200, description = "The saga", body = Object), Refusals))]
pub async fn show(
    State(edge): State<Edge>,
    _operator: Operator,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Response, Problem> {
    let events = related(&edge, id).await?;
    let history: Vec<Value> = events
        .iter()
        .filter(|event| event.stream.category == SAGA)
        .filter_map(|event| serde_json::to_value(WireEvent::from(event)).ok())
        .collect();
    let snapshot = fold(id, events)?;
    let mut document = summary(id, &snapshot.state);
    let saga = edge
        .fulfilment
        .engine()
        .saga(&snapshot.state.saga, snapshot.state.version);
    document["steps"] = snapshot.state.steps.iter().map(step).collect();
    document["waitsFor"] = waits_for(&snapshot.state);
    document["remaining"] = saga.map_or(Value::Null, |saga| {
        remaining(saga.as_ref(), &snapshot.state)
    });
    document["history"] = Value::Array(history);
    Ok(Json(document).into_response())
}

/// The saga as it is now.
pub(super) async fn load(edge: &Edge, id: Uuid) -> Result<Snapshot, Problem> {
    fold(id, related(edge, id).await?)
}

async fn related(edge: &Edge, id: Uuid) -> Result<Vec<RecordedEvent>, Problem> {
    let events = edge.store.read_related(id).await;
    events.map_err(|error| read_failed(&error))
}

fn fold(id: Uuid, events: Vec<RecordedEvent>) -> Result<Snapshot, Problem> {
    Snapshot::fold(id, events).map_err(|left| load_saga_failed(&LoadError::LeftAlone(left)))
}

/// A saga in one row, as it is in the list.
pub(super) fn summary(id: Uuid, state: &SagaState) -> Value {
    let current = state.current();
    json!({
        "sagaId": id,
        "saga": state.saga,
        "version": state.version,
        "status": state.status().as_str(),
        "step": current.map(|step| &step.name),
        "attempt": current.map_or(0, |step| step.attempt),
        "dueAt": state.due_at(),
        "code": current.and_then(|step| step.parked.as_ref()).map(|parked| &parked.code),
        "reason": state.reason(),
        "atStake": state.at_stake(),
        "suggestion": current.and_then(|step| step.parked.as_ref()).map(|parked| &parked.suggestion),
        "startedAt": state.started_at,
        "updatedAt": state.updated_at,
        "_links": { "self": { "href": format!("/sagas/{id}") } },
    })
}

fn step(step: &Step) -> Value {
    json!({
        "step": step.name,
        "branch": step.branch,
        "unwinding": step.unwinding,
        "attempt": step.attempt,
        "standing": standing(step),
        "until": step.timer(),
        "output": step.output,
        "parked": step.parked.as_ref().map(|parked| json!({
            "code": parked.code, "reason": parked.reason, "atStake": parked.at_stake,
            "suggestion": parked.suggestion, "at": parked.at,
        })),
    })
}

fn standing(step: &Step) -> &'static str {
    match &step.standing {
        _ if step.parked.is_some() => "parked",
        Standing::Idle => "idle",
        Standing::Running { .. } => "running",
        Standing::Backoff { .. } => "backoff",
        Standing::Polling { .. } => "polling",
        Standing::Done => "done",
        Standing::Refused { .. } => "refused",
        Standing::Skipped => "skipped",
    }
}

/// Every step that is under way or waits, and until when.
fn waits_for(state: &SagaState) -> Value {
    let open = state.steps.iter().filter(|step| !step.is_settled());
    open.map(|step| json!({ "step": step.name, "standing": standing(step), "until": step.timer() }))
        .collect()
}

/// The steps that are still to be done, in order: those of the main line, then the side branches.
fn remaining(saga: &dyn Saga, state: &SagaState) -> Value {
    let settled = |name: &str| state.step(name).is_some_and(Step::is_settled);
    let names: Vec<&str> = match state.phase {
        Phase::Completed | Phase::Unwound => Vec::new(),
        Phase::Unwinding => saga.unwind(state),
        Phase::New | Phase::Forward => {
            let Definition {
                forward, branches, ..
            } = saga.definition();
            let main = forward.iter().map(|step| step.name);
            main.chain(branches.iter().map(|branch| branch.step.name))
                .collect()
        }
    };
    names.into_iter().filter(|name| !settled(name)).collect()
}
