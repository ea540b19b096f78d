//! What a saga does next. Pure: the same state at the same time gives the same plan on every node, so that recovery,
//! take-over and the model checker all run this code.

mod forward;
#[cfg(test)]
mod tests;
mod unwind;

use aggregates::saga::{AttemptResult, Cause, Phase, Standing, State, Step};
use chrono::{DateTime, Duration, Utc};

use super::definition::Saga;
use super::step::{Closing, Kind, StepSpec};

pub use aggregates::saga::{NOT_DONE, OVERDUE};

/// How long nobody may answer before a person is told, where one would be told of a participant that does not decide: longer than
/// participants are away. The step is tried all the same, so that the person has nothing to do once they are back.
const SILENCE: std::time::Duration = std::time::Duration::from_hours(3 * 24);

/// The code of a retriable step that took too long.
pub const GAVE_UP: &str = "gave-up";
/// Why it was given up.
pub(super) const NOT_IN_TIME: &str = "it was not settled within its time";
/// The code of a request to undo that came after the pivot.
pub const PAST_POINT: &str = "past-point-of-no-return";
/// The code of a pivot that was passed although the saga had begun to undo.
pub const PIVOT_PASSED: &str = "pivot-passed";

/// How an attempt goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Execute.
    Execute,
    /// Ask first, and execute what is not found. Where nobody answers, only a keyed step is executed.
    ProbeThenExecute,
    /// Only ask. What is not found is refused with the code, if there is one: nobody can execute it any more.
    Probe(Option<&'static str>),
    /// Make sure that it cannot happen any more.
    Void,
}

/// An attempt to begin: write `StepStarted`, then go about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The step.
    pub step: &'static str,
    /// Number of the attempt.
    pub attempt: u32,
    /// How to go about it.
    pub mode: Mode,
    /// A side branch.
    pub branch: bool,
}

/// Something that only has to be written down. It comes before all else, and the plan is made anew afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Turn round.
    Unwind(Cause),
    /// Go forward again.
    RefuseCancel {
        /// Stable word for programs.
        code: String,
        /// Sentence for people.
        reason: String,
    },
    /// Close a step that surely has no effect.
    Refuse {
        /// The step.
        step: &'static str,
        /// Stable word for programs.
        code: &'static str,
        /// Sentence for people.
        reason: &'static str,
    },
    /// A step without effect outside the log is done by writing so.
    Local {
        /// The step.
        step: &'static str,
    },
    /// Begin to wait for somebody else.
    FirstLook {
        /// The step.
        step: &'static str,
    },
    /// Leave a step to a person.
    Park {
        /// The step.
        step: &'static str,
        /// Stable word for programs.
        code: String,
        /// Sentence for people.
        reason: String,
    },
    /// Nothing can go on without a person.
    Rest,
    /// All done.
    Complete,
    /// All undone.
    Unwound,
}

/// What a saga does next. If there is a decision, the rest is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Write this down first.
    pub decision: Option<Decision>,
    /// Begin these attempts.
    pub begin: Vec<Begin>,
    /// Look at these steps that only wait.
    pub look: Vec<&'static str>,
    /// Nothing more before this time.
    pub wake_at: Option<DateTime<Utc>>,
}

impl Plan {
    /// Nothing to do, now or later.
    pub fn is_idle(&self) -> bool {
        self.decision.is_none()
            && self.begin.is_empty()
            && self.look.is_empty()
            && self.wake_at.is_none()
    }

    fn wake(&mut self, at: DateTime<Utc>) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

/// What that saga does next.
pub fn plan(saga: &dyn Saga, state: &State, now: DateTime<Utc>) -> Plan {
    let mut planner = Planner {
        saga,
        state,
        now,
        plan: Plan::default(),
    };
    let decision = match state.phase {
        Phase::New | Phase::Completed | Phase::Unwound => None,
        Phase::Forward => planner.forward(),
        Phase::Unwinding => planner.unwind(),
    };
    match decision {
        Some(decision) => Plan {
            decision: Some(decision),
            ..Plan::default()
        },
        None => planner.plan,
    }
}

struct Planner<'a> {
    saga: &'a dyn Saga,
    state: &'a State,
    now: DateTime<Utc>,
    plan: Plan,
}

impl Planner<'_> {
    /// Moves an unsettled step on, or says what to write down about it.
    fn advance(&mut self, spec: &StepSpec, branch: bool) -> Option<Decision> {
        let step = self.state.step(spec.name);
        if let Some(given_up) = self.give_up(spec, step) {
            return Some(given_up);
        }
        if let Some(overdue) = step.and_then(|step| self.overdue(spec, step)) {
            return Some(overdue);
        }
        match spec.kind {
            Kind::Local => return Some(Decision::Local { step: spec.name }),
            Kind::Await => return self.look(spec, step),
            Kind::Call => {}
        }
        match step.map(|step| &step.standing) {
            Some(
                Standing::Running {
                    deadline: until, ..
                }
                | Standing::Backoff { next_at: until, .. },
            ) if self.now < *until => {
                self.plan.wake(*until);
            }
            _ => {
                let mode = self.mode(spec, step);
                if self.expired(spec) && !step.is_some_and(doubtful) {
                    let (_, code) = spec.execute_until?;
                    let reason = "it was not sent within its time";
                    return Some(Decision::Refuse {
                        step: spec.name,
                        code,
                        reason,
                    });
                }
                self.begin(spec, step, mode, branch);
            }
        }
        None
    }

    fn look(&mut self, spec: &StepSpec, step: Option<&Step>) -> Option<Decision> {
        match step.map(|step| &step.standing) {
            Some(Standing::Polling { next_at }) if self.now < *next_at => self.plan.wake(*next_at),
            Some(Standing::Polling { .. }) => self.plan.look.push(spec.name),
            _ => return Some(Decision::FirstLook { step: spec.name }),
        }
        None
    }

    /// A step that only waits is given up by a look that finds nothing (see [`StepSpec::given_up_at`]): that the time is
    /// over says nothing while nobody could look.
    fn give_up(&mut self, spec: &StepSpec, step: Option<&Step>) -> Option<Decision> {
        let step = step.filter(|_| spec.kind != Kind::Await)?;
        let at = spec.given_up_at(step.first_at)?;
        let running = step
            .timer()
            .is_some_and(|timer| step.is_running() && self.now < timer);
        if running {
            return None;
        }
        if self.now < at {
            self.plan.wake(at);
            return None;
        }
        Some(Decision::Refuse {
            step: spec.name,
            code: GAVE_UP,
            reason: NOT_IN_TIME,
        })
    }

    /// A step that takes too long is left to a person, unless it is due just now: whoever wants it tried again gets one more
    /// attempt. A participant that is away has not failed at it: that nobody answers is told only after [`SILENCE`].
    fn overdue(&mut self, spec: &StepSpec, step: &Step) -> Option<Decision> {
        let limit = spec.park_after?;
        let (at, next_at, why) = match &step.standing {
            Standing::Backoff {
                next_at, reason, ..
            } if is_silent(step) => {
                let at = trying_since(self.state, step) + span(limit.max(SILENCE));
                (at, *next_at, reason.as_str())
            }
            Standing::Backoff {
                next_at, reason, ..
            } => (step.first_at + span(limit), *next_at, reason.as_str()),
            Standing::Polling { next_at } => {
                let why = "it has not happened yet";
                (step.first_at + span(limit), *next_at, why)
            }
            _ => return None,
        };
        if step.parked.is_some() || self.now >= next_at {
            return None;
        }
        if self.now < at {
            self.plan.wake(at);
            return None;
        }
        Some(Decision::Park {
            step: spec.name,
            code: OVERDUE.to_owned(),
            reason: format!("it takes too long: {why}"),
        })
    }

    fn begin(&mut self, spec: &StepSpec, step: Option<&Step>, mode: Mode, branch: bool) {
        let attempt = step.map_or(0, |step| step.attempt) + 1;
        self.plan.begin.push(Begin {
            step: spec.name,
            attempt,
            mode,
            branch,
        });
    }

    fn mode(&self, spec: &StepSpec, step: Option<&Step>) -> Mode {
        if self.expired(spec) {
            let code = spec.execute_until.map_or(NOT_DONE, |(_, code)| code);
            return self.probe(step, code);
        }
        // A keyed step may be executed again at once, but a participant that takes longer than anybody waits would then
        // never be understood, though its books have the answer.
        match step {
            Some(step) if doubtful(step) => Mode::ProbeThenExecute,
            _ => Mode::Execute,
        }
    }

    fn closing_mode(&self, spec: &StepSpec, closing: Closing, step: &Step) -> Mode {
        match closing {
            Closing::Execute if !self.expired(spec) => Mode::ProbeThenExecute,
            Closing::Void => Mode::Void,
            _ => self.probe(Some(step), NOT_DONE),
        }
    }

    /// What is not found is final only when nobody who was given the key may still execute it.
    fn probe(&self, step: Option<&Step>, code: &'static str) -> Mode {
        let open_until = step.and_then(|step| step.open_until);
        Mode::Probe((open_until <= Some(self.now)).then_some(code))
    }

    fn expired(&self, spec: &StepSpec) -> bool {
        spec.execute_until
            .is_some_and(|(after, _)| self.now >= self.state.started_at + span(after))
    }

    fn parked(&self, name: &str) -> bool {
        self.state
            .step(name)
            .is_some_and(|step| step.parked.is_some())
    }

    /// It waits for a person, and nothing is to be done about it meanwhile. What only takes long is looked at all the same, and
    /// tried where nobody has answered.
    fn rests(&self, spec: &StepSpec) -> bool {
        let Some(step) = self.state.step(spec.name) else {
            return false;
        };
        let goes_on = spec.kind == Kind::Await || is_silent(step);
        let parked = step.parked.as_ref();
        parked.is_some_and(|parked| !goes_on || parked.code != OVERDUE)
    }

    /// Nothing further, and somebody has to act: say so once, so that nobody looks at the saga in vain.
    fn rest(&self) -> Option<Decision> {
        (self.plan.is_idle() && !self.state.rested).then_some(Decision::Rest)
    }
}

/// It may have had an effect that is not known.
pub(crate) fn doubtful(step: &Step) -> bool {
    step.in_doubt || (step.is_running() && !step.asking)
}

/// It is tried, and nothing is known of it but that nobody has answered.
pub(super) fn is_silent(step: &Step) -> bool {
    match &step.standing {
        Standing::Running { .. } => true,
        Standing::Backoff { result, .. } => {
            !matches!(result, AttemptResult::Undecided | AttemptResult::Spent)
        }
        _ => false,
    }
}

/// Since when a step has been tried in this direction. Earlier outages, and what lay with a person, say nothing about a request that
/// came after them.
pub(super) fn trying_since(state: &State, step: &Step) -> DateTime<Utc> {
    let turned = state.unwind.as_ref().map(|unwind| unwind.at);
    turned.map_or(step.tried_since, |at| at.max(step.tried_since))
}

/// A limit of a definition as a distance in time.
pub(super) fn span(limit: std::time::Duration) -> Duration {
    Duration::from_std(limit).unwrap_or(Duration::MAX)
}
