//! What people and other programs may ask of a saga. Each request is an event: who, why, when; decided on the folded log and
//! appended only if nobody was faster.

use aggregates::saga::{
    CancelRequested, Cause, CauseKind, Phase, RetryRequested, SagaEvent, SignalReceived, Standing,
    State, Step, StepResolved, StepSkipped, UnwindStarted, Verdict,
};
use chrono::{DateTime, Utc};
use eventstore::{AppendError, ReadError};
use serde_json::Value;
use uuid::Uuid;

use super::definition::{Call, Definition, Probe, RecordError, Saga};
use super::draft::Draft;
use super::engine::Engine;
use super::plan::{PAST_POINT, span};
use super::start::key;
use super::step::{Class, Kind, StepSpec};
use super::view::{LeftAlone, LoadError, Snapshot};
use super::writer::metadata;

/// A saga in motion can win this often against a request before the request is given up; each time means progress.
const TRIES_MAX: u32 = 16;

/// What became of a request to undo a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancel {
    /// It is in the log; the saga turns round.
    Requested,
    /// It was undoing already.
    Unwinding,
    /// It had been undone already.
    Unwound,
    /// Too late.
    Refused {
        /// Stable word for programs.
        code: &'static str,
    },
}

/// Why a request was not taken. Only after `Unknown` it may be in the log nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// The saga is not for this build, or does not exist.
    #[error(transparent)]
    LeftAlone(#[from] LeftAlone),
    /// It has no such step, or never came to it.
    #[error("the saga has not come to a step {0}")]
    NoSuchStep(String),
    /// The step is not in need of this.
    #[error("{step} {why}")]
    NotApplicable {
        /// The step.
        step: String,
        /// What it is instead.
        why: &'static str,
    },
    /// The participant says something else.
    #[error("the participant does not confirm it: {0}")]
    NotConfirmed(String),
    /// The domain events could not be made.
    #[error("the events for it cannot be made")]
    Record(#[from] RecordError),
    /// The saga moved faster every time.
    #[error("the saga is too busy; try again")]
    Busy,
    /// Nothing was stored.
    #[error("the log is unavailable")]
    Unavailable(#[source] AppendError),
    /// It may have been stored.
    #[error("it is not known whether the request was stored")]
    Unknown,
    /// The log could not be read.
    #[error("reading the saga's events")]
    Read(#[from] ReadError),
}

impl From<LoadError> for VerbError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::LeftAlone(left) => Self::LeftAlone(left),
            LoadError::Read(error) => Self::Read(error),
        }
    }
}

/// Who asks, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What the people who resolve a step say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What is true now.
    pub outcome: Verdict,
    /// What it rests on; becomes the step's output.
    pub evidence: Value,
    /// Do not ask the participant.
    pub force: bool,
}

impl Engine {
    /// Asks for the saga to be undone. The answer is about the request; whether it is granted shows in the saga.
    pub async fn cancel(&self, id: Uuid, request: &Request) -> Result<Cancel, VerbError> {
        self.decide(id, |saga, state, at| {
            Ok(decide_cancel(saga, state, request, at))
        })
        .await
    }

    /// Tells the saga something; every step that waits is looked at.
    pub async fn signal(&self, id: Uuid, signal: &str, data: Value) -> Result<(), VerbError> {
        self.decide(id, |_, _, at| {
            let (signal, data) = (signal.to_owned(), data.clone());
            Ok(((), vec![SignalReceived { signal, data, at }.into()]))
        })
        .await
    }

    /// Asks for a step to be tried again now; a refused one under a fresh key.
    pub async fn retry(&self, id: Uuid, step: &str, request: &Request) -> Result<(), VerbError> {
        self.decide(id, |_, state, at| {
            let known = known(state, step)?;
            let waits = matches!(
                known.standing,
                Standing::Backoff { .. } | Standing::Polling { .. }
            );
            if known.is_done() || !(waits || known.parked.is_some()) {
                return Err(not_applicable(
                    step,
                    "is neither parked nor waiting for its next attempt",
                ));
            }
            let (reason, actor) = (request.reason.clone(), request.actor.clone());
            Ok((
                (),
                vec![
                    RetryRequested {
                        step: step.to_owned(),
                        reason,
                        actor,
                        at,
                    }
                    .into(),
                ],
            ))
        })
        .await
    }

    /// Decides a parked step, or one in doubt, by what a person found out. Unless forced, the participant has to confirm it.
    pub async fn resolve(
        &self,
        id: Uuid,
        step: &str,
        resolution: Finding,
        request: &Request,
    ) -> Result<(), VerbError> {
        if !resolution.force {
            self.confirm(id, step, resolution.outcome).await?;
        }
        self.decide(id, |_, state, at| {
            resolvable(state, step)?;
            let event = StepResolved {
                step: step.to_owned(),
                outcome: resolution.outcome,
                evidence: resolution.evidence.clone(),
                forced: resolution.force,
                reason: request.reason.clone(),
                actor: request.actor.clone(),
                at,
            };
            Ok(((), vec![event.into()]))
        })
        .await
    }

    /// Gives a step up. Only those nothing rests on.
    pub async fn skip(&self, id: Uuid, step: &str, request: &Request) -> Result<(), VerbError> {
        self.decide(id, |saga, state, at| {
            let retriable = |definition: &Definition| {
                definition
                    .step(step)
                    .is_some_and(|spec| spec.class == Class::Retriable)
            };
            if !retriable(saga.definition()) {
                return Err(not_applicable(
                    step,
                    "cannot be skipped: the saga rests on it",
                ));
            }
            let known = known(state, step)?;
            if known.parked.is_none() && known.is_settled() {
                return Err(not_applicable(step, "is settled"));
            }
            let (reason, actor) = (request.reason.clone(), request.actor.clone());
            Ok((
                (),
                vec![
                    StepSkipped {
                        step: step.to_owned(),
                        reason,
                        actor,
                        at,
                    }
                    .into(),
                ],
            ))
        })
        .await
    }

    async fn confirm(&self, id: Uuid, step: &str, outcome: Verdict) -> Result<(), VerbError> {
        let (view, _) = Snapshot::load(&self.inner.store, id).await?;
        let saga = self.inner.saga(&view.state.saga, view.state.version)?;
        let known = resolvable(&view.state, step)?;
        let spec = saga
            .definition()
            .step(step)
            .ok_or_else(|| VerbError::NoSuchStep(step.to_owned()))?;
        if spec.kind == Kind::Local {
            return Ok(());
        }
        let call = Call {
            saga_id: id,
            step: spec.name,
            attempt: known.attempt,
            key: key(id, spec.name, known.round),
            deadline: self.inner.clock.now() + span(spec.time_limit),
            state: std::sync::Arc::clone(&view.state),
            history: std::sync::Arc::clone(&view.history),
        };
        let answer = tokio::select! {
            answer = saga.probe(&call) => answer,
            () = self.inner.clock.sleep_until(call.deadline) => Probe::Unknown { reason: "no answer in time".to_owned() },
        };
        match (outcome, answer) {
            (Verdict::Done, Probe::Done(_))
            | (Verdict::Undone, Probe::NotFound | Probe::Refused { .. }) => Ok(()),
            (_, Probe::Done(_)) => Err(VerbError::NotConfirmed(
                "it says that it happened".to_owned(),
            )),
            (_, Probe::NotFound) => {
                Err(VerbError::NotConfirmed("it knows nothing of it".to_owned()))
            }
            (_, Probe::Refused { reason, .. } | Probe::Unknown { reason }) => {
                Err(VerbError::NotConfirmed(reason))
            }
        }
    }

    /// Reads, decides, appends on exactly what was read, and wakes the saga.
    async fn decide<T>(
        &self,
        id: Uuid,
        mut decision: impl FnMut(
            &dyn Saga,
            &State,
            DateTime<Utc>,
        ) -> Result<(T, Vec<SagaEvent>), VerbError>,
    ) -> Result<T, VerbError> {
        let event_id = Uuid::now_v7();
        for _ in 0..TRIES_MAX {
            let (view, ids) = Snapshot::load(&self.inner.store, id).await?;
            let saga = self.inner.saga(&view.state.saga, view.state.version)?;
            let mut draft = Draft::new(
                saga.as_ref(),
                &view,
                self.inner.clock.now(),
                fastrand::f64(),
            );
            let (answer, events) = decision(saga.as_ref(), &view.state, draft.at)?;
            if events.is_empty() || ids.contains(&event_id) {
                return Ok(answer);
            }
            for (nth, event) in events.into_iter().enumerate() {
                let id = if nth == 0 { event_id } else { Uuid::now_v7() };
                draft.push(id, event);
            }
            draft.settle();
            let streams = draft.streams(draft.record()?, &metadata(id));
            match self.inner.store.append(streams).await {
                Ok(_) => {
                    self.wake(id);
                    return Ok(answer);
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(AppendError::Unknown) => return Err(VerbError::Unknown),
                Err(error) => return Err(VerbError::Unavailable(error)),
            }
        }
        Err(VerbError::Busy)
    }
}

/// What a request to undo comes to, and the events for it; pure.
pub fn decide_cancel(
    saga: &dyn Saga,
    state: &State,
    request: &Request,
    at: DateTime<Utc>,
) -> (Cancel, Vec<SagaEvent>) {
    let past = |spec: &StepSpec| spec.class == Class::Pivot && state.is_done(spec.name);
    match state.phase {
        Phase::Unwinding => (Cancel::Unwinding, Vec::new()),
        Phase::Unwound => (Cancel::Unwound, Vec::new()),
        Phase::Forward if !saga.definition().forward.iter().any(past) => {
            (Cancel::Requested, cancelled(request, at))
        }
        _ => (Cancel::Refused { code: PAST_POINT }, Vec::new()),
    }
}

fn cancelled(request: &Request, at: DateTime<Utc>) -> Vec<SagaEvent> {
    let (reason, actor) = (request.reason.clone(), request.actor.clone());
    let cause = Cause {
        kind: CauseKind::Cancel,
        step: None,
        code: "cancel".to_owned(),
        reason: reason.clone(),
    };
    vec![
        CancelRequested {
            reason,
            actor: actor.clone(),
            at,
        }
        .into(),
        UnwindStarted { cause, actor, at }.into(),
    ]
}

fn known<'a>(state: &'a State, step: &str) -> Result<&'a Step, VerbError> {
    state
        .step(step)
        .ok_or_else(|| VerbError::NoSuchStep(step.to_owned()))
}

/// A step can be decided by a person while it is parked or between two attempts; never under the hands of an owner.
fn resolvable<'a>(state: &'a State, step: &str) -> Result<&'a Step, VerbError> {
    let known = known(state, step)?;
    let between = matches!(
        known.standing,
        Standing::Backoff { .. } | Standing::Polling { .. }
    );
    if known.parked.is_some() || between {
        return Ok(known);
    }
    Err(not_applicable(
        step,
        "is neither parked nor between two attempts",
    ))
}

fn not_applicable(step: &str, why: &'static str) -> VerbError {
    VerbError::NotApplicable {
        step: step.to_owned(),
        why,
    }
}
