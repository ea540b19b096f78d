//! What people and other programs may ask of a saga. Each request is an event: who, why, when; decided on the folded log and
//! appended only if nobody was faster.

mod decide;

use std::sync::Arc;

use aggregates::saga::{SagaEvent, SignalReceived, State, Verdict};
use chrono::{DateTime, Utc};
use eventstore::{AppendError, ReadError, Version};
use serde_json::Value;
use uuid::Uuid;

use super::definition::{Call, Probe, RecordError, Saga};
use super::draft::Draft;
use super::engine::Engine;
use super::plan::span;
use super::start::key;
use super::step::Kind;
use super::view::{LeftAlone, LoadError, Snapshot};
pub use decide::{Selection, decide_cancel};
use decide::{decide, resolvable};

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
    /// Nothing of it is under way, waits or is parked.
    #[error("the saga hangs on no step; nothing needs help")]
    NothingToHelp,
    /// The step is not in need of this.
    #[error("{step} {why}")]
    NotApplicable {
        /// The step.
        step: String,
        /// What it is instead.
        why: &'static str,
    },
    /// Too late to undo it.
    #[error("the saga says {code}")]
    TooLate {
        /// Stable word for programs.
        code: &'static str,
    },
    /// It is not what it was selected for any more.
    #[error("it is not as it was selected any more")]
    Moved,
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
    /// What it rests on. Becomes the step's output, unless the participant names its own.
    pub evidence: Value,
    /// Do not ask the participant.
    pub force: bool,
}

/// What a person can do about a saga.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Try a step again now; a refused one under a fresh key.
    Retry,
    /// Decide a step by what a person found out. Unless forced, the participant has to confirm it.
    Resolve(Finding),
    /// Give a step up. Only those nothing rests on.
    Skip,
    /// Undo the saga.
    Cancel,
}

impl Verb {
    /// The word for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Resolve(_) => "resolve",
            Self::Skip => "skip",
            Self::Cancel => "cancel",
        }
    }
}

/// A verb that is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The step it is about; none where it is about the saga as a whole.
    pub step: Option<String>,
    /// The saga's version with it.
    pub version: Version,
}

impl Engine {
    /// Asks for the saga to be undone. The answer is about the request; whether it is granted shows in the saga.
    pub async fn cancel(&self, id: Uuid, request: &Request) -> Result<Cancel, VerbError> {
        let decision =
            |saga: &dyn Saga, state: &State, at| Ok(decide_cancel(saga, state, request, at));
        Ok(self.decided(id, decision).await?.0)
    }

    /// Tells the saga something; every step that waits is looked at.
    pub async fn signal(&self, id: Uuid, signal: &str, data: Value) -> Result<(), VerbError> {
        let decision = |_: &dyn Saga, _: &State, at| {
            let (signal, data) = (signal.to_owned(), data.clone());
            Ok(((), vec![SignalReceived { signal, data, at }.into()]))
        };
        self.decided(id, decision).await?;
        Ok(())
    }

    /// Asks for a step to be tried again now; a refused one under a fresh key.
    pub async fn retry(&self, id: Uuid, step: &str, request: &Request) -> Result<(), VerbError> {
        self.at_step(id, step, &Verb::Retry, request).await
    }

    /// Decides a parked step, or one in doubt, by what a person found out. Unless forced, the participant has to confirm it.
    pub async fn resolve(
        &self,
        id: Uuid,
        step: &str,
        finding: Finding,
        request: &Request,
    ) -> Result<(), VerbError> {
        let verb = Verb::Resolve(finding);
        self.at_step(id, step, &verb, request).await
    }

    /// Gives a step up. Only those nothing rests on.
    pub async fn skip(&self, id: Uuid, step: &str, request: &Request) -> Result<(), VerbError> {
        self.at_step(id, step, &Verb::Skip, request).await
    }

    async fn at_step(
        &self,
        id: Uuid,
        step: &str,
        verb: &Verb,
        request: &Request,
    ) -> Result<(), VerbError> {
        let any = Selection::default();
        self.act(id, verb, Some(step), &any, request).await?;
        Ok(())
    }

    /// Does what a person wants about a saga that is as selected, at this step or at the one it hangs on.
    pub async fn act(
        &self,
        id: Uuid,
        verb: &Verb,
        step: Option<&str>,
        only: &Selection,
        request: &Request,
    ) -> Result<Taken, VerbError> {
        let (verb, asked) = self.confirm(id, verb, step, only).await?;
        let step = asked.as_deref().or(step);
        let decision = |saga: &dyn Saga, state: &State, at| {
            decide(saga, state, &verb, step, only, request, at)
        };
        let (step, version) = self.decided(id, decision).await?;
        Ok(Taken { step, version })
    }

    /// Says what [`Engine::act`] would say, and does nothing. The step it would be about.
    pub async fn rehearse(
        &self,
        id: Uuid,
        verb: &Verb,
        step: Option<&str>,
        only: &Selection,
        request: &Request,
    ) -> Result<Option<String>, VerbError> {
        let (verb, asked) = self.confirm(id, verb, step, only).await?;
        let step = asked.as_deref().or(step);
        let (view, saga) = self.load(id).await?;
        let at = self.inner.clock.now();
        let (step, events) = decide(saga.as_ref(), &view.state, &verb, step, only, request, at)?;
        let mut draft = Draft::new(saga.as_ref(), &view, at, 0.0);
        for event in events {
            draft.push(Uuid::now_v7(), event);
        }
        draft.settle();
        draft.record()?;
        Ok(step)
    }

    async fn load(&self, id: Uuid) -> Result<(Snapshot, Arc<dyn Saga>), VerbError> {
        let (view, _) = Snapshot::load(&self.inner.store, id).await?;
        let saga = self.inner.saga(&view.state.saga, view.state.version)?;
        Ok((view, saga))
    }

    /// Asks the participant about what a person claims, unless that is forced. What it says of the effect stands above what
    /// the person says of it; the step is the one it was asked about.
    async fn confirm(
        &self,
        id: Uuid,
        verb: &Verb,
        step: Option<&str>,
        only: &Selection,
    ) -> Result<(Verb, Option<String>), VerbError> {
        let Verb::Resolve(finding) = verb else {
            return Ok((verb.clone(), None));
        };
        if finding.force {
            return Ok((verb.clone(), None));
        }
        let (view, saga) = self.load(id).await?;
        let known = resolvable(&view.state, step, only)?;
        let spec = saga
            .definition()
            .step(&known.name)
            .ok_or_else(|| VerbError::NoSuchStep(known.name.clone()))?;
        let asked = Some(known.name.clone());
        if spec.kind == Kind::Local {
            return Ok((verb.clone(), asked));
        }
        let call = Call {
            saga_id: id,
            step: spec.name,
            attempt: known.attempt,
            key: key(id, spec.name, known.round),
            deadline: self.inner.clock.now() + span(spec.time_limit),
            state: Arc::clone(&view.state),
            history: Arc::clone(&view.history),
        };
        let answer = tokio::select! {
            answer = saga.probe(&call) => answer,
            () = self.inner.clock.sleep_until(call.deadline) => Probe::Unknown { reason: "no answer in time".to_owned() },
        };
        match (finding.outcome, answer) {
            (Verdict::Done, Probe::Done(output)) if !output.is_null() => {
                let evidence = output;
                let finding = Finding {
                    evidence,
                    ..finding.clone()
                };
                Ok((Verb::Resolve(finding), asked))
            }
            (Verdict::Done, Probe::Done(_))
            | (Verdict::Undone, Probe::NotFound | Probe::Progress { .. } | Probe::Refused { .. }) => {
                Ok((verb.clone(), asked))
            }
            (_, Probe::Done(_)) => Err(VerbError::NotConfirmed(
                "it says that it happened".to_owned(),
            )),
            (_, Probe::NotFound | Probe::Progress { .. }) => {
                Err(VerbError::NotConfirmed("it knows nothing of it".to_owned()))
            }
            (
                _,
                Probe::Refused { reason, .. }
                | Probe::Undecided { reason }
                | Probe::Unknown { reason },
            ) => Err(VerbError::NotConfirmed(reason)),
        }
    }

    /// Reads, decides, appends on exactly what was read, and wakes the saga. The version is that of the saga with the events in it.
    pub(super) async fn decided<T>(
        &self,
        id: Uuid,
        mut decision: impl FnMut(
            &dyn Saga,
            &State,
            DateTime<Utc>,
        ) -> Result<(T, Vec<SagaEvent>), VerbError>,
    ) -> Result<(T, Version), VerbError> {
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
                return Ok((answer, view.version));
            }
            for (nth, event) in events.into_iter().enumerate() {
                let id = if nth == 0 { event_id } else { Uuid::now_v7() };
                draft.push(id, event);
            }
            draft.settle();
            let streams = draft.streams(draft.record()?);
            match self.inner.store.append(streams).await {
                Ok(appended) => {
                    self.wake(id);
                    // The saga's own stream is the last of an append.
                    let version = appended.versions.last().copied();
                    return Ok((answer, version.unwrap_or(view.version)));
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(AppendError::Unknown) => return Err(VerbError::Unknown),
                Err(error) => return Err(VerbError::Unavailable(error)),
            }
        }
        Err(VerbError::Busy)
    }
}
