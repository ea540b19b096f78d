//! What came of an intervention: not that it was asked for, but where the saga went.

use aggregates::saga::{Phase, Standing, State, Step};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::engine::Engine;
use super::verbs::Taken;
use super::view::{LoadError, Snapshot};

/// Where a saga is after somebody intervened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// All done.
    Completed,
    /// All undone.
    Unwound,
    /// It went on, and waits for somebody else to do their part.
    Waiting,
    /// The last attempt decided nothing, or there is no answer yet; it goes on by itself.
    Trying,
    /// It needs a person, again or still.
    Parked,
}

impl End {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Unwound => "unwound",
            Self::Waiting => "waiting",
            Self::Trying => "trying",
            Self::Parked => "parked",
        }
    }

    /// Nobody has to look at it again because of what was asked.
    #[must_use]
    pub fn is_well(self) -> bool {
        !matches!(self, Self::Trying | Self::Parked)
    }
}

/// Where a saga went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aftermath {
    /// Where it is.
    pub end: End,
    /// The step it hangs on.
    pub step: Option<String>,
    /// When it is looked at again.
    pub until: Option<DateTime<Utc>>,
    /// The code it is parked with.
    pub code: Option<String>,
    /// Why it is where it is.
    pub reason: Option<String>,
}

impl Aftermath {
    /// Where this saga is, if that is more than the beginning of an attempt.
    fn of(state: &State, step: Option<&str>) -> Option<Self> {
        let end = match state.phase {
            Phase::Completed => End::Completed,
            Phase::Unwound => End::Unwound,
            _ => resting(state, step)?,
        };
        Some(Self::at(state, step, end))
    }

    fn at(state: &State, step: Option<&str>, end: End) -> Self {
        let own = step.and_then(|name| state.step(name));
        let own = own.filter(|step| step.parked.is_some() || step.timer().is_some());
        let hangs_on = own
            .or_else(|| state.current())
            .filter(|_| !state.is_finished());
        let parked = hangs_on.and_then(|step| step.parked.as_ref());
        Self {
            end,
            step: hangs_on.map(|step| step.name.clone()),
            until: state.due_at(),
            code: parked.map(|parked| parked.code.clone()),
            reason: hangs_on.and_then(why),
        }
    }
}

impl Aftermath {
    /// What was asked for is in the log, and that is all that is known.
    fn unseen(error: &LoadError) -> Self {
        Self {
            end: End::Trying,
            step: None,
            until: None,
            code: None,
            reason: Some(error.to_string()),
        }
    }
}

fn why(step: &Step) -> Option<String> {
    match (&step.parked, &step.standing) {
        (Some(parked), _) => Some(parked.reason.clone()),
        (None, Standing::Backoff { reason, .. }) => Some(reason.clone()),
        _ => None,
    }
}

/// Parked again, or past the step and waiting; `None` while something is under way. Side branches keep nobody waiting, unless one
/// of them is what somebody intervened in.
fn resting(state: &State, step: Option<&str>) -> Option<End> {
    let is_parked = |step: &Step| step.parked.is_some();
    let own = step.and_then(|name| state.step(name));
    if own.is_some_and(is_parked) {
        return Some(End::Parked);
    }
    let busy = |known: &Step| {
        let moves = matches!(
            known.standing,
            Standing::Running { .. } | Standing::Backoff { .. }
        );
        moves && (!known.branch || Some(known.name.as_str()) == step)
    };
    if state.rested || !(state.unanswered || state.steps.iter().any(busy)) {
        let parked = state.steps.iter().any(is_parked);
        return Some(if parked { End::Parked } else { End::Waiting });
    }
    None
}

impl Engine {
    /// Where the saga has gone after that, as soon as it is settled; once `patience` is over, where it is then.
    pub async fn aftermath(
        &self,
        id: Uuid,
        taken: &Taken,
        patience: impl Future<Output = ()>,
    ) -> Aftermath {
        let step = taken.step.as_deref();
        let settled = |now: &Snapshot| {
            now.version >= taken.version && Aftermath::of(&now.state, step).is_some()
        };
        let mut running = match self.follow(id).await {
            Ok(running) => running,
            Err(error) => return Aftermath::unseen(&error),
        };
        tokio::select! {
            _ = running.wait_for(settled) => {}
            () = patience => {}
        }
        let now = running.snapshot();
        let seen = Aftermath::of(&now.state, step).filter(|_| now.version >= taken.version);
        seen.unwrap_or_else(|| Aftermath::at(&now.state, step, End::Trying))
    }
}
