//! What a saga's events add up to.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::event::{AttemptResult, Cause, Stake, Verdict};
use super::evolve::NOT_DONE;

/// Which of its two lists a saga is working through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// No event yet.
    New,
    /// Doing.
    Forward,
    /// Undoing.
    Unwinding,
    /// Done.
    Completed,
    /// Undone; a late effect turns it back to [`Phase::Unwinding`].
    Unwound,
}

/// What operators see at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// An attempt is under way or about to begin.
    Running,
    /// Nothing to do before [`State::due_at`].
    Waiting,
    /// Undoing.
    Unwinding,
    /// At least one step needs a person.
    Parked,
    /// Done.
    Completed,
    /// Undone.
    Unwound,
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Unwinding => "unwinding",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Unwound => "unwound",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// Nothing is under way; a fresh start is possible.
    Idle,
    /// `owner` may execute until `deadline`, then anybody may take over.
    Running {
        /// Who.
        owner: Uuid,
        /// Until when.
        deadline: DateTime<Utc>,
    },
    /// The last attempt decided nothing.
    Backoff {
        /// Not before.
        next_at: DateTime<Utc>,
        /// How the last attempt ended.
        result: AttemptResult,
        /// Why, for people.
        reason: String,
    },
    /// It only waits, and is looked at again at `next_at`.
    Polling {
        /// Not before, unless somebody hints.
        next_at: DateTime<Utc>,
    },
    /// The effect happened.
    Done,
    /// No effect under this key, for good.
    Refused {
        /// Stable word for programs.
        code: String,
        /// Sentence for people.
        reason: String,
    },
    /// A person gave up on it.
    Skipped,
}

/// Why a step needs a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub reason: String,
    /// What may be lost.
    pub at_stake: Option<Stake>,
    /// What a person can do about it.
    pub suggestion: String,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// One step that was touched at least once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name in the definition.
    pub name: String,
    /// A side branch, which gates nothing.
    pub branch: bool,
    /// The last attempt only asked.
    pub asking: bool,
    /// First touched while the saga was unwinding.
    pub unwinding: bool,
    /// The last attempt that began; 0 = none.
    pub attempt: u32,
    /// Rises when an answer has used up a key and the step is to be tried afresh.
    pub round: u32,
    /// How often it was looked at in vain (steps that only wait).
    pub polls: u32,
    /// Where it stands.
    pub standing: Standing,
    /// An earlier attempt under this key may have had, or may still have, an effect nobody knows of.
    pub in_doubt: bool,
    /// The attempt during which a late sign of an earlier one's effect arrived: that it found nothing means nothing.
    pub doubted: u32,
    /// The latest deadline any attempt was given: before it somebody frozen may still execute.
    pub open_until: Option<DateTime<Utc>>,
    /// When it was first touched.
    pub first_at: DateTime<Utc>,
    /// Since when it has been tried without a person in between: its first attempt, the first one of a fresh start, or the last
    /// request to try it again.
    pub tried_since: DateTime<Utc>,
    /// What the participant answered.
    pub output: Option<Value>,
    /// Effects beyond the first that were reported.
    pub repeats: u32,
    /// Set while a person has to act.
    pub parked: Option<Parked>,
    /// Set when a person decided it.
    pub resolved: Option<Verdict>,
}

impl Step {
    /// Its effect happened.
    pub fn is_done(&self) -> bool {
        self.standing == Standing::Done
    }

    /// Neither under way nor waiting for anything but a person.
    pub fn is_settled(&self) -> bool {
        matches!(
            self.standing,
            Standing::Done | Standing::Refused { .. } | Standing::Skipped
        )
    }

    /// An attempt is open: its owner may be executing.
    pub fn is_running(&self) -> bool {
        matches!(self.standing, Standing::Running { .. })
    }

    /// It was closed as having no effect, by nobody's decision and not on the way back; a late sign of an effect opens it again.
    pub fn can_reopen(&self) -> bool {
        let refused = matches!(self.standing, Standing::Refused { .. });
        refused && !self.unwinding && self.parked.is_none() && self.resolved.is_none()
    }

    /// It was given up only because the saga turned round: going forward again it is wanted again.
    pub(super) fn is_closed_by_turning(&self) -> bool {
        let not_done = matches!(&self.standing, Standing::Refused { code, .. } if code == NOT_DONE);
        not_done && self.resolved.is_none()
    }

    /// It was done on the way back. Older builds forgot that when the saga turned round, and looked for it again: what they wrote
    /// of their looks says nothing.
    pub(super) fn is_seen_on_the_way_back(&self) -> bool {
        self.is_done() && self.unwinding
    }

    /// When somebody has to look at this step again.
    pub fn timer(&self) -> Option<DateTime<Utc>> {
        match self.standing {
            Standing::Running { deadline, .. } => Some(deadline),
            Standing::Backoff { next_at, .. } | Standing::Polling { next_at } => Some(next_at),
            _ => None,
        }
    }
}

/// Why, by whom and since when a saga unwinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unwind {
    /// Why.
    pub cause: Cause,
    /// Who.
    pub actor: String,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// A request to undo, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequest {
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Code and reason, if it came too late.
    pub refused: Option<(String, String)>,
}

/// Something the saga was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// The saga's own word.
    pub name: String,
    /// The saga's own form.
    pub data: Value,
}

/// A whole saga, folded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Name of the definition.
    pub saga: String,
    /// Version of the definition.
    pub version: u32,
    /// What it was started with.
    pub input: Value,
    /// Which list it works through.
    pub phase: Phase,
    /// The steps in the order they were first touched.
    pub steps: Vec<Step>,
    /// What it was told.
    pub signals: Vec<Signal>,
    /// The last request to undo it.
    pub cancel: Option<CancelRequest>,
    /// Set from the turn round on.
    pub unwind: Option<Unwind>,
    /// How often it turned back to forward.
    pub turns: u32,
    /// Something happened that the saga has not answered yet.
    pub unanswered: bool,
    /// Nothing can go on without a person.
    pub rested: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            saga: String::new(),
            version: 0,
            input: Value::Null,
            phase: Phase::New,
            steps: Vec::new(),
            signals: Vec::new(),
            cancel: None,
            unwind: None,
            turns: 0,
            unanswered: false,
            rested: false,
            started_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }
}

impl State {
    /// The step of that name, if it was ever touched.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Whether the effect of that step happened.
    pub fn is_done(&self, name: &str) -> bool {
        self.step(name).is_some_and(Step::is_done)
    }

    /// What that step answered.
    pub fn output(&self, name: &str) -> Option<&Value> {
        self.step(name).and_then(|step| step.output.as_ref())
    }

    /// Completed or unwound.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Completed | Phase::Unwound)
    }

    /// Finished, or waiting for nothing but a person.
    pub fn is_at_rest(&self) -> bool {
        self.is_finished() || self.rested
    }

    /// When somebody has to look at this saga; `None` only when it is at rest. Needs no definition, so that a list of due
    /// sagas can be kept by somebody who does not know them.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        if self.is_at_rest() || self.phase == Phase::New {
            return None;
        }
        if self.unanswered && !self.steps.iter().any(Step::is_running) {
            return Some(self.updated_at);
        }
        let timer = self.steps.iter().filter_map(Step::timer).min();
        timer.or(Some(self.updated_at))
    }

    /// What operators see at a glance.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Completed => Status::Completed,
            Phase::Unwound => Status::Unwound,
            _ if self.steps.iter().any(|step| step.parked.is_some()) => Status::Parked,
            Phase::Unwinding => Status::Unwinding,
            _ if self.steps.iter().any(Step::is_running) || self.unanswered => Status::Running,
            _ => Status::Waiting,
        }
    }

    /// The step this saga hangs on: parked before under way before waiting, the main line before side branches.
    pub fn current(&self) -> Option<&Step> {
        self.steps
            .iter()
            .filter(|step| step.parked.is_some() || step.timer().is_some())
            .min_by_key(|step| {
                (
                    step.parked.is_none(),
                    step.branch,
                    !step.is_running(),
                    step.timer(),
                )
            })
            .or_else(|| self.steps.last())
    }

    /// Why it is where it is, for people.
    pub fn reason(&self) -> Option<&str> {
        let current = self.current()?;
        if let Some(parked) = &current.parked {
            return Some(&parked.reason);
        }
        match &current.standing {
            Standing::Backoff { reason, .. } | Standing::Refused { reason, .. } => Some(reason),
            _ => self
                .unwind
                .as_ref()
                .map(|unwind| unwind.cause.reason.as_str()),
        }
    }

    /// What may be lost while it is parked.
    pub fn at_stake(&self) -> Option<&Stake> {
        self.steps
            .iter()
            .find_map(|step| step.parked.as_ref()?.at_stake.as_ref())
    }
}
