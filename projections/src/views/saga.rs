//! The saga view: one row per saga, which is the fold of its own log and what can be seen of it at a
//! glance. Operators list it and the sweeper finds in it what is due.

use aggregates::Event;
use aggregates::saga::{SagaEvent, Stake, State, Status};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::projection::{ApplyError, Facts, Keys, Projection};
use crate::table::{Column, Index, Kind, Rows, TableDef, Value};

/// A saga as operators list it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaRow {
    /// The saga; of a fulfilment this is the order's id.
    pub saga_id: Uuid,
    /// Name of its definition.
    pub saga: String,
    /// Version of its definition.
    pub version: u32,
    /// What it is doing.
    pub status: Status,
    /// The step it hangs on.
    pub step: Option<String>,
    /// Attempts at that step.
    pub attempt: u32,
    /// When somebody has to look at it again.
    pub due_at: Option<DateTime<Utc>>,
    /// Stable word for why it is parked.
    pub code: Option<String>,
    /// Why it is where it is.
    pub reason: Option<String>,
    /// What may be lost while it is parked.
    pub at_stake: Option<Stake>,
    /// What a person can do about it.
    pub suggestion: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What is stored of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSaga {
    id: Uuid,
    state: State,
}

impl StoredSaga {
    /// The fold of its log, without the payloads that came with its events.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl From<StoredSaga> for SagaRow {
    fn from(StoredSaga { id, state }: StoredSaga) -> Self {
        let current = state.current();
        Self {
            saga_id: id,
            status: state.status(),
            step: current.map(|step| step.name.clone()),
            attempt: current.map_or(0, |step| step.attempt),
            due_at: state.due_at(),
            code: current
                .and_then(|step| step.parked.as_ref())
                .map(|parked| parked.code.clone()),
            reason: state.reason().map(str::to_owned),
            at_stake: state.at_stake().cloned(),
            suggestion: current
                .and_then(|step| step.parked.as_ref())
                .map(|parked| parked.suggestion.clone()),
            started_at: state.started_at,
            updated_at: state.updated_at,
            version: state.version,
            saga: state.saga,
        }
    }
}

/// The saga view.
#[derive(Debug)]
pub struct SagaView;

impl Projection for SagaView {
    type Row = StoredSaga;

    const TABLE: &'static TableDef = &TableDef {
        view: "saga",
        version: 2,
        columns: &[
            Column {
                name: "status",
                kind: Kind::Text,
            },
            Column {
                name: "step",
                kind: Kind::Text,
            },
            Column {
                name: "due_at",
                kind: Kind::Int,
            },
        ],
        indexes: &[
            // Lists of one status or one step.
            Index {
                column: "status",
                rows: Rows::Except("completed"),
            },
            Index {
                column: "step",
                rows: Rows::All,
            },
            // The sweeper; a saga at rest is due never and not in it.
            Index {
                column: "due_at",
                rows: Rows::Set,
            },
        ],
    };

    const CATEGORIES: &'static [&'static str] = &["saga"];

    fn keys(_: &Event, facts: &Facts<'_>) -> Keys {
        Keys::One(facts.stream)
    }

    fn apply(
        _: Uuid,
        row: &mut Option<StoredSaga>,
        event: &Event,
        facts: &Facts<'_>,
    ) -> Result<(), ApplyError> {
        let Event::Saga(event) = event else {
            return Err(ApplyError::Foreign);
        };
        let state = row
            .as_ref()
            .map_or_else(State::default, |row| row.state.clone());
        let mut state = state
            .evolve(event)
            .map_err(|error| ApplyError::Refused(error.to_string()))?;
        shed(&mut state, event);
        *row = Some(StoredSaga {
            id: facts.stream,
            state,
        });
        Ok(())
    }

    fn columns(row: &StoredSaga) -> Vec<Value<'_>> {
        let due = row.state.due_at().map(|due| due.timestamp_millis());
        let step = row.state.current().map(|step| step.name.as_str().into());
        vec![
            Value::text(row.state.status().as_str()),
            Value::Text(step),
            Value::Int(due),
        ]
    }

    fn is_settled(row: &StoredSaga) -> bool {
        row.state.is_finished()
    }

    fn shown(row: StoredSaga) -> serde_json::Result<Json> {
        serde_json::to_value(SagaRow::from(row))
    }
}

/// Drops the payloads that came with the event: they can be large, may be sealed data, and no list
/// shows them. The fold asks whether there is an output, never what is in it.
fn shed(state: &mut State, event: &SagaEvent) {
    match event {
        SagaEvent::SagaStarted(_) => state.input = Json::Null,
        SagaEvent::SignalReceived(_) => state.signals.clear(),
        SagaEvent::StepDone(_) | SagaEvent::StepResolved(_) => {
            for output in state
                .steps
                .iter_mut()
                .filter_map(|step| step.output.as_mut())
            {
                output.take();
            }
        }
        _ => {}
    }
}
