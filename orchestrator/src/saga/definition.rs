//! What a saga is: its steps and the participants behind them.

use std::sync::Arc;

use aggregates::saga::{SagaEvent, Stake, State};
use chrono::{DateTime, Utc};
use eventstore::StreamAppend;
use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::history::History;
use super::step::{Kind, StepSpec};

/// What an execution came to. A refusal is a decision of the participant; everything that is not surely a decision and not
/// surely unsent is `Unknown`.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The effect happened (or had happened under this key).
    Done(Value),
    /// No effect under this key, now and for ever.
    Refused {
        /// Stable word for programs.
        code: String,
        /// Sentence for people.
        reason: String,
    },
    /// The effect may have happened: time-out, reset, garbage.
    Unknown {
        /// Sentence for people.
        reason: String,
    },
    /// The participant answered, and what it says decides nothing yet. The effect may have happened.
    Undecided {
        /// Sentence for people.
        reason: String,
    },
    /// The participant failed, says so again whenever it is asked under this key, and shows no effect: only another key can
    /// have one. For keyed steps.
    Spent {
        /// Sentence for people.
        reason: String,
    },
    /// Surely nothing left this process.
    NotSent {
        /// Sentence for people.
        reason: String,
    },
}

/// What the participant knows of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// The effect happened.
    Done(Value),
    /// No effect under this key, now and for ever.
    Refused {
        /// Stable word for programs.
        code: String,
        /// Sentence for people.
        reason: String,
    },
    /// It knows nothing of it; for a step that only waits: not yet.
    NotFound,
    /// Not yet, but there is news on the way, for the saga to record. For steps that only wait.
    Progress {
        /// The saga's own word for the news.
        signal: &'static str,
        /// The saga's own form.
        data: Value,
    },
    /// It answered, and what it says decides nothing yet.
    Undecided {
        /// Sentence for people.
        reason: String,
    },
    /// It could not be asked.
    Unknown {
        /// Sentence for people.
        reason: String,
    },
}

/// One call of a participant.
#[derive(Debug, Clone)]
pub struct Call {
    /// The saga, which is also the correlation id.
    pub saga_id: Uuid,
    /// The step.
    pub step: &'static str,
    /// Which attempt at it.
    pub attempt: u32,
    /// Idempotency key: the same for all attempts until an answer was final.
    pub key: String,
    /// Nothing may be sent from here on; check right before sending.
    pub deadline: DateTime<Utc>,
    /// The saga so far: its input, and the outputs of earlier steps.
    pub state: Arc<State>,
    /// The domain events so far.
    pub history: Arc<History>,
}

/// Everything one append says about a saga.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// The saga.
    pub saga_id: Uuid,
    /// Before the events.
    pub before: &'a State,
    /// After them.
    pub after: &'a State,
    /// What happened, in order.
    pub events: &'a [SagaEvent],
    /// When.
    pub at: DateTime<Utc>,
}

/// The domain events for a transition cannot be made; the saga is parked on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RecordError {
    /// Sentence for operators.
    pub reason: String,
}

impl RecordError {
    /// For this cause.
    pub fn of(cause: impl std::fmt::Display) -> Self {
        let reason = cause.to_string();
        Self { reason }
    }
}

/// A side branch: begins when `after` is done and gates nothing.
#[derive(Debug, Clone)]
pub struct Branch {
    /// The forward step it begins after.
    pub after: &'static str,
    /// What it does.
    pub step: StepSpec,
}

/// The steps of a saga.
#[derive(Debug, Clone)]
pub struct Definition {
    /// One after another.
    pub forward: Vec<StepSpec>,
    /// Beside them.
    pub branches: Vec<Branch>,
    /// Every step an unwind may need.
    pub unwind: Vec<StepSpec>,
}

/// A definition that could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {why}")]
pub struct DefinitionError {
    /// The step.
    pub step: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Definition {
    /// All steps: forward, branches, unwind.
    pub fn steps(&self) -> impl Iterator<Item = &StepSpec> {
        let branches = self.branches.iter().map(|branch| &branch.step);
        self.forward.iter().chain(branches).chain(&self.unwind)
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepSpec> {
        self.steps().find(|step| step.name == name)
    }

    /// The forward step that has to be done first for this one to have its turn, if it is one that only waits.
    pub fn awaited_before(&self, name: &str, state: &State) -> Option<&StepSpec> {
        let place = self.forward.iter().position(|step| step.name == name)?;
        let mut before = self.forward[..place].iter();
        let undone = before.find(|step| !state.is_done(step.name))?;
        (undone.kind == Kind::Await).then_some(undone)
    }

    /// Refuses what the engine could not keep its promises for.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let mut seen = std::collections::HashSet::new();
        for step in self.steps() {
            let fail = |why| {
                Err(DefinitionError {
                    step: step.name,
                    why,
                })
            };
            if !seen.insert(step.name) {
                return fail("two steps have this name");
            }
            if let Some(why) = step.fault() {
                return fail(why);
            }
            if step
                .needs
                .iter()
                .chain(&step.undone_by)
                .any(|name| self.step(name).is_none())
            {
                return fail("it names a step that does not exist");
            }
        }
        for branch in &self.branches {
            if !self.forward.iter().any(|step| step.name == branch.after) {
                return Err(DefinitionError {
                    step: branch.step.name,
                    why: "it begins after no forward step",
                });
            }
        }
        Ok(())
    }
}

/// A saga: what its steps are and who does them. The engine knows it by name and version only.
pub trait Saga: Send + Sync + 'static {
    /// The name its instances carry in the log.
    fn name(&self) -> &'static str;

    /// The version its instances carry in the log.
    fn version(&self) -> u32;

    /// Its steps. Must not change within a version.
    fn definition(&self) -> &Definition;

    /// Which unwind steps, in order. Asked again after every event, with every started step settled; a late effect can make
    /// the list longer, even after the saga had unwound. By default the compensations of what was done, last first.
    fn unwind(&self, state: &State) -> Vec<&'static str> {
        let done = |step: &&StepSpec| state.is_done(step.name);
        let forward = self.definition().forward.iter().rev();
        forward
            .filter(done)
            .filter_map(|step| step.undone_by)
            .collect()
    }

    /// Whether people may have it undone. Not one that is itself the remedy of something: undoing it would only hide that.
    fn can_be_undone(&self) -> bool {
        true
    }

    /// Does it. May be called again with the same key, at any time, by any process.
    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome>;

    /// Asks whether it was done, without doing it.
    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe>;

    /// Makes sure that the key is never executed again and says what it came to; `NotFound` is no answer here. Called only
    /// for steps that are closed by voiding.
    fn void<'a>(&'a self, _call: &'a Call) -> BoxFuture<'a, Probe> {
        let reason = "this participant cannot void a key".to_owned();
        Box::pin(async move { Probe::Unknown { reason } })
    }

    /// The domain events that go into the same append. Pure; must also take what it has recorded before (a repeated or late
    /// outcome) and then give nothing.
    fn record(
        &self,
        history: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError>;

    /// What may be lost when this saga stops where it is.
    fn at_stake(&self, _state: &State, _history: &History) -> Option<Stake> {
        None
    }

    /// What a person can do about that step when it is parked.
    fn suggestion(&self, step: &StepSpec, _state: &State) -> String {
        step.suggestion.to_owned()
    }

    /// While the participant of that step is known to be away: when this saga may try again. No attempt begins and nothing is
    /// logged before. Asked right before an attempt would begin; `None` may keep one of a few places for it.
    fn paused_until(&self, _saga_id: Uuid, _step: &'static str) -> Option<DateTime<Utc>> {
        None
    }
}
