//! A saga whose participants misbehave, around one whose participants behave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aggregates::saga::{Stake, State};
use chrono::{DateTime, Utc};
use eventstore::StreamAppend;
use futures_util::future::BoxFuture;
use orchestrator::saga::definition::{
    Call, Definition, Outcome, Probe, RecordError, Saga, Transition,
};
use orchestrator::saga::history::History;
use uuid::Uuid;

use super::TestClock;

/// How the participants of one saga misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not at all.
    None,
    /// Every step is executed twice; an unkeyed one is executed, then looked up.
    Twice,
    /// The first call of this step is refused for good.
    Refuse(&'static str),
    /// The first calls of this step give no clear answer; the effect did not happen.
    Lost(&'static str),
    /// The first call of this step has its effect and gives no clear answer.
    Silent(&'static str),
    /// The first calls of this step never leave.
    NotSent(&'static str),
    /// The first call of this step has its effect and then panics.
    Panic(&'static str),
    /// The first call of this step hangs before its effect.
    HangBefore(&'static str),
    /// The first call of this step has its effect and hangs.
    HangAfter(&'static str),
    /// This step cannot be asked about for a while, and its first execution gives no clear answer.
    Mute(&'static str),
}

impl Fault {
    /// Every kind at that step.
    pub(crate) fn all_at(step: &'static str) -> [Self; 8] {
        [
            Self::Refuse(step),
            Self::Lost(step),
            Self::Silent(step),
            Self::NotSent(step),
            Self::Panic(step),
            Self::HangBefore(step),
            Self::HangAfter(step),
            Self::Mute(step),
        ]
    }
}

/// Calls that fail before a step recovers from a fault that lasts.
const LASTS: u32 = 2;

pub(crate) struct Faulty {
    inner: Arc<dyn Saga>,
    clock: Arc<TestClock>,
    faults: Mutex<HashMap<Uuid, Fault>>,
    calls: Mutex<HashMap<(Uuid, &'static str), u32>>,
    probes: Mutex<HashMap<(Uuid, &'static str), u32>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Saga>, clock: Arc<TestClock>) -> Self {
        Self {
            inner,
            clock,
            faults: Mutex::default(),
            calls: Mutex::default(),
            probes: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, id: Uuid, fault: Fault) {
        self.faults.lock().unwrap().insert(id, fault);
    }

    fn fault(&self, id: Uuid) -> Fault {
        self.faults
            .lock()
            .unwrap()
            .get(&id)
            .copied()
            .unwrap_or(Fault::None)
    }

    async fn hang(&self, call: &Call) -> Outcome {
        self.clock.advance_to(call.deadline);
        std::future::pending().await
    }

    async fn twice(&self, call: &Call) -> Outcome {
        let first = self.inner.execute(call).await;
        let keyed = self
            .definition()
            .step(call.step)
            .is_none_or(|spec| spec.keyed);
        if keyed {
            return self.inner.execute(call).await;
        }
        match self.inner.probe(call).await {
            Probe::Done(output) => Outcome::Done(output),
            Probe::Refused { code, reason } => Outcome::Refused { code, reason },
            Probe::NotFound if !matches!(first, Outcome::Done(_)) => first,
            other => Outcome::Unknown {
                reason: format!("looked up after {first:?}: {other:?}"),
            },
        }
    }
}

fn count(calls: &Mutex<HashMap<(Uuid, &'static str), u32>>, call: &Call) -> u32 {
    let mut calls = calls.lock().unwrap();
    let count = calls.entry((call.saga_id, call.step)).or_default();
    *count += 1;
    *count
}

fn unclear() -> Outcome {
    Outcome::Unknown {
        reason: "the line went dead".to_owned(),
    }
}

impl Saga for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn version(&self) -> u32 {
        self.inner.version()
    }

    fn definition(&self) -> &Definition {
        self.inner.definition()
    }

    fn unwind(&self, state: &State) -> Vec<&'static str> {
        self.inner.unwind(state)
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        let nth = count(&self.calls, call);
        Box::pin(async move {
            match self.fault(call.saga_id) {
                Fault::Twice => self.twice(call).await,
                Fault::Refuse(step) if step == call.step && nth == 1 => Outcome::Refused {
                    code: "no".to_owned(),
                    reason: "it was made to refuse".to_owned(),
                },
                Fault::Lost(step) if step == call.step && nth <= LASTS => unclear(),
                Fault::NotSent(step) if step == call.step && nth <= LASTS => Outcome::NotSent {
                    reason: "the line was dead".to_owned(),
                },
                Fault::Silent(step) | Fault::Mute(step) if step == call.step && nth == 1 => {
                    self.inner.execute(call).await;
                    unclear()
                }
                Fault::Panic(step) if step == call.step && nth == 1 => {
                    self.inner.execute(call).await;
                    panic!("it was made to panic")
                }
                Fault::HangBefore(step) if step == call.step && nth == 1 => self.hang(call).await,
                Fault::HangAfter(step) if step == call.step && nth == 1 => {
                    self.inner.execute(call).await;
                    self.hang(call).await
                }
                _ => self.inner.execute(call).await,
            }
        })
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        let nth = count(&self.probes, call);
        Box::pin(async move {
            match self.fault(call.saga_id) {
                Fault::Mute(step) if step == call.step && nth <= LASTS => Probe::Unknown {
                    reason: "it does not answer".to_owned(),
                },
                _ => self.inner.probe(call).await,
            }
        })
    }

    fn void<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        self.inner.void(call)
    }

    fn record(
        &self,
        history: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        self.inner.record(history, transition)
    }

    fn at_stake(&self, state: &State, history: &History) -> Option<Stake> {
        self.inner.at_stake(state, history)
    }

    fn paused_until(&self, saga_id: Uuid, step: &'static str) -> Option<DateTime<Utc>> {
        self.inner.paused_until(saga_id, step)
    }
}
