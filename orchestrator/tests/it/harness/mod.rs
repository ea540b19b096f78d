//! What every saga must survive: each step twice, every kind of failure at each step, a crash at every point, a frozen owner at
//! each step, and a request to undo at every point. The saga under test and its participants are a [`World`].

mod clock;
mod faults;
mod rig;
mod strike;
mod suite;

use std::sync::Arc;

use aggregates::saga::State;
use eventstore::StreamAppend;
use futures_util::future::BoxFuture;
use orchestrator::saga::definition::Saga;
use orchestrator::saga::view::Snapshot;
use serde_json::Value;
use uuid::Uuid;

pub(crate) use clock::TestClock;
pub(crate) use faults::Fault;
pub(crate) use rig::{Passed, Rig};
pub(crate) use strike::{Strike, Striker};
pub(crate) use suite::{Suite, survives};

/// What a saga is started with.
pub(crate) struct Start {
    /// The saga's input.
    pub(crate) input: Value,
    /// The domain events that go with its start.
    pub(crate) domain: Vec<StreamAppend>,
}

/// What was done to a saga in one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trial {
    /// How its participants misbehave.
    pub(crate) fault: Fault,
    /// What happens to the engine, or what somebody asks.
    pub(crate) strike: Strike,
    /// A second blow, counted from the first.
    pub(crate) then_crash: Option<usize>,
}

impl Trial {
    /// Everything goes well.
    pub(crate) const HAPPY: Self = Self {
        fault: Fault::None,
        strike: Strike::None,
        then_crash: None,
    };

    /// Only the participants misbehave.
    pub(crate) const fn fault(fault: Fault) -> Self {
        Self {
            fault,
            ..Self::HAPPY
        }
    }
}

/// A saga and the participants behind it.
pub(crate) trait World: Send + Sync + 'static {
    /// The saga, over participants that behave.
    fn saga(&self) -> Arc<dyn Saga>;

    /// The start of a saga with that id; the same when asked again.
    fn start(&self, id: Uuid) -> BoxFuture<'_, Start>;

    /// Whether what the participants did fits the state in which the saga rests.
    fn check<'a>(
        &'a self,
        trial: &'a Trial,
        rest: &'a Snapshot,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// What holds for every saga at rest.
pub(crate) fn check_rest(state: &State) -> Result<(), String> {
    if !state.is_at_rest() {
        return Err(format!("it does not rest: {:?}", state.phase));
    }
    if let Some(due) = state.due_at() {
        return Err(format!("it rests and is due at {due}"));
    }
    match state
        .steps
        .iter()
        .find(|step| step.is_running() || step.in_doubt)
    {
        Some(step) => Err(format!("{} is still open: {:?}", step.name, step.standing)),
        None => Ok(()),
    }
}
