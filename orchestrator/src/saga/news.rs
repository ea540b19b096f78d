//! What others find out about a saga's steps: a hint that an answer may be there, and an effect that was found outside.

use aggregates::saga::{
    OVERDUE, RetryRequested, SagaEvent, SignalReceived, Standing, State, Step, StepDone,
};
use chrono::{DateTime, TimeDelta, Utc};
use eventstore::{ReadError, StreamId, Version};
use serde_json::{Value, json};
use uuid::Uuid;

use super::definition::Saga;
use super::engine::Engine;
use super::verbs::{Cancel, Request, VerbError, decide_cancel};
use super::view::SAGA;

/// An attempt that is due this soon needs no hurry: a storm of hints adds at most one attempt and one event per this time.
const SOON: TimeDelta = TimeDelta::seconds(1);

/// The signal that names who found an effect, and why it was looked for.
pub const FOUND: &str = "found";

impl Engine {
    /// Whether there is a saga of that id.
    pub async fn exists(&self, id: Uuid) -> Result<bool, ReadError> {
        let stream = StreamId::new(SAGA.clone(), id);
        let first = self
            .inner
            .store
            .read_stream(&stream, Version::ZERO, 1)
            .await?;
        Ok(!first.is_empty())
    }

    /// Brings forward the next attempt at those of the steps whose last one decided nothing, unless it is due anyway; what is
    /// parked, waits for a person all the same. `true`: there is an attempt to come.
    pub async fn urge(
        &self,
        id: Uuid,
        steps: &[&str],
        request: &Request,
    ) -> Result<bool, VerbError> {
        let decision = |_: &dyn Saga, state: &State, at| {
            let due = |step: &Step| match step.standing {
                Standing::Backoff { next_at, .. } => match &step.parked {
                    None => Some(next_at),
                    Some(parked) => (parked.code == OVERDUE).then_some(DateTime::<Utc>::MAX_UTC),
                },
                _ => None,
            };
            let known = steps.iter().filter_map(|name| state.step(name));
            let waiting: Vec<_> = known.filter_map(|step| Some((step, due(step)?))).collect();
            let far = waiting.iter().filter(|(_, due)| *due > at + SOON);
            let urged = far.map(|(step, _)| {
                SagaEvent::from(RetryRequested {
                    step: step.name.clone(),
                    reason: request.reason.clone(),
                    actor: request.actor.clone(),
                    at,
                })
            });
            Ok((!waiting.is_empty(), urged.collect()))
        };
        Ok(self.decided(id, decision).await?.0)
    }

    /// Records the effect of a step that was found outside, by whomever, as one that came late; the saga goes on from there,
    /// and a finished one undoes it if it has to. `wanted` judges the newest state: where it says no, nothing is recorded.
    /// `true`: it is recorded.
    pub async fn found(
        &self,
        id: Uuid,
        step: &str,
        output: &Value,
        request: &Request,
        wanted: impl Fn(&State) -> bool,
    ) -> Result<bool, VerbError> {
        let decision = |saga: &dyn Saga, state: &State, at| {
            let news = news(saga, state, step, output, request, at)?;
            if !wanted(state) {
                return Ok((false, Vec::new()));
            }
            Ok((!news.is_empty(), news))
        };
        Ok(self.decided(id, decision).await?.0)
    }

    /// The same of an effect that leaves the saga nothing to go on for: it is asked to undo the rest in the same append, so
    /// that nobody ever sees the one without the other. Whether the effect was recorded, and what became of the request;
    /// too late to undo, the effect is recorded all the same.
    pub async fn found_undone(
        &self,
        id: Uuid,
        step: &str,
        output: &Value,
        request: &Request,
        wanted: impl Fn(&State) -> bool,
    ) -> Result<(bool, Cancel), VerbError> {
        let decision = |saga: &dyn Saga, state: &State, at| {
            let mut events = news(saga, state, step, output, request, at)?;
            if !wanted(state) {
                events.clear();
            }
            let recorded = !events.is_empty();
            let (cancel, turned) = decide_cancel(saga, state, request, at);
            events.extend(turned);
            Ok(((recorded, cancel), events))
        };
        Ok(self.decided(id, decision).await?.0)
    }
}

/// That a step's effect was found, and by whom; nothing if it is on record.
fn news(
    saga: &dyn Saga,
    state: &State,
    step: &str,
    output: &Value,
    request: &Request,
    at: DateTime<Utc>,
) -> Result<Vec<SagaEvent>, VerbError> {
    if saga.definition().step(step).is_none() {
        return Err(VerbError::NoSuchStep(step.to_owned()));
    }
    if state.is_done(step) {
        return Ok(Vec::new());
    }
    let why = SignalReceived {
        signal: FOUND.to_owned(),
        data: json!({ "step": step, "actor": request.actor, "reason": request.reason }),
        at,
    };
    let done = StepDone {
        step: step.to_owned(),
        attempt: state.step(step).map_or(0, |step| step.attempt),
        output: output.clone(),
        late: true,
        at,
    };
    Ok(vec![why.into(), done.into()])
}
