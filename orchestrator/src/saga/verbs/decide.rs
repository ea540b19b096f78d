//! What a person's request comes to, on the folded log. Pure.

use aggregates::saga::{
    CancelRequested, Cause, CauseKind, Phase, RetryRequested, SagaEvent, Standing, State, Status,
    Step, StepResolved, StepSkipped, UnwindStarted,
};
use chrono::{DateTime, Utc};

use super::{Cancel, Finding, Request, Verb, VerbError};
use crate::saga::definition::Saga;
use crate::saga::plan::PAST_POINT;
use crate::saga::step::{Class, StepSpec};

/// Which sagas are meant. Every condition that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Name of the definition.
    pub saga: Option<String>,
    /// What it is doing.
    pub status: Option<Status>,
    /// The step it hangs on.
    pub step: Option<String>,
    /// The code that it is parked with, or a part of the sentence that says why it is where it is.
    pub reason: Option<String>,
}

impl Selection {
    /// Whether that saga is meant.
    #[must_use]
    pub fn holds(&self, state: &State) -> bool {
        let current = state.current();
        let step = current.map(|step| step.name.as_str());
        let code = current.and_then(|step| Some(step.parked.as_ref()?.code.as_str()));
        self.saga.as_ref().is_none_or(|saga| *saga == state.saga)
            && self.status.is_none_or(|status| status == state.status())
            && (self.step.is_none() || self.step.as_deref() == step)
            && self.is_the_reason(code, state.reason())
    }

    /// Whether a saga that is where it is for that reason is meant.
    #[must_use]
    pub fn is_the_reason(&self, code: Option<&str>, reason: Option<&str>) -> bool {
        self.reason.as_deref().is_none_or(|wanted| {
            code == Some(wanted) || reason.is_some_and(|reason| reason.contains(wanted))
        })
    }
}

type Decided = Result<(Option<String>, Vec<SagaEvent>), VerbError>;

/// The step that a verb is about, and the events for it.
pub(super) fn decide(
    saga: &dyn Saga,
    state: &State,
    verb: &Verb,
    step: Option<&str>,
    only: &Selection,
    request: &Request,
    at: DateTime<Utc>,
) -> Decided {
    if !only.holds(state) {
        return Err(VerbError::Moved);
    }
    let event = match verb {
        Verb::Cancel if !saga.can_be_undone() => {
            let step = state.current().ok_or(VerbError::NothingToHelp)?;
            return Err(not_applicable(
                step,
                "cannot be canceled: its saga is there to see it through",
            ));
        }
        Verb::Cancel => {
            return match decide_cancel(saga, state, request, at) {
                (Cancel::Refused { code }, _) => Err(VerbError::TooLate { code }),
                (_, events) => Ok((None, events)),
            };
        }
        Verb::Retry => retry(meant(state, step)?, request, at)?,
        Verb::Skip => skip(saga, meant(state, step)?, request, at)?,
        Verb::Resolve(finding) => resolve(resolvable(state, step, only)?, finding, request, at),
    };
    Ok((Some(event.0), vec![event.1]))
}

fn retry(
    step: &Step,
    request: &Request,
    at: DateTime<Utc>,
) -> Result<(String, SagaEvent), VerbError> {
    if step.is_done() || !(is_between(step) || step.parked.is_some()) {
        return Err(not_applicable(
            step,
            "is neither parked nor waiting for its next attempt",
        ));
    }
    let event = RetryRequested {
        step: step.name.clone(),
        reason: request.reason.clone(),
        actor: request.actor.clone(),
        at,
    };
    Ok((step.name.clone(), event.into()))
}

fn skip(
    saga: &dyn Saga,
    step: &Step,
    request: &Request,
    at: DateTime<Utc>,
) -> Result<(String, SagaEvent), VerbError> {
    let spec = saga.definition().step(&step.name);
    if spec.is_none_or(|spec| spec.class != Class::Retriable) {
        return Err(not_applicable(
            step,
            "cannot be skipped: the saga rests on it",
        ));
    }
    if step.parked.is_none() && step.is_settled() {
        return Err(not_applicable(step, "is settled"));
    }
    let event = StepSkipped {
        step: step.name.clone(),
        reason: request.reason.clone(),
        actor: request.actor.clone(),
        at,
    };
    Ok((step.name.clone(), event.into()))
}

fn resolve(
    step: &Step,
    finding: &Finding,
    request: &Request,
    at: DateTime<Utc>,
) -> (String, SagaEvent) {
    let event = StepResolved {
        step: step.name.clone(),
        outcome: finding.outcome,
        evidence: finding.evidence.clone(),
        forced: finding.force,
        reason: request.reason.clone(),
        actor: request.actor.clone(),
        at,
    };
    (step.name.clone(), event.into())
}

/// What a request to undo comes to, and the events for it.
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
        Phase::Forward if saga.can_be_undone() && !saga.definition().forward.iter().any(past) => {
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

/// The step of that name, or the one that the saga hangs on.
fn meant<'a>(state: &'a State, step: Option<&str>) -> Result<&'a Step, VerbError> {
    match step {
        Some(name) => state
            .step(name)
            .ok_or_else(|| VerbError::NoSuchStep(name.to_owned())),
        None => state.current().ok_or(VerbError::NothingToHelp),
    }
}

/// A step can be decided by a person while it is parked or between two attempts; never under the hands of an owner.
pub(super) fn resolvable<'a>(
    state: &'a State,
    step: Option<&str>,
    only: &Selection,
) -> Result<&'a Step, VerbError> {
    if !only.holds(state) {
        return Err(VerbError::Moved);
    }
    let step = meant(state, step)?;
    // What nobody has answered for days is listed and tried all the same.
    if step.is_running() {
        return Err(not_applicable(
            step,
            "is being tried at this moment: ask again when the attempt has ended",
        ));
    }
    if step.parked.is_some() || is_between(step) {
        return Ok(step);
    }
    Err(not_applicable(
        step,
        "is neither parked nor between two attempts",
    ))
}

fn is_between(step: &Step) -> bool {
    matches!(
        step.standing,
        Standing::Backoff { .. } | Standing::Polling { .. }
    )
}

fn not_applicable(step: &Step, why: &'static str) -> VerbError {
    VerbError::NotApplicable {
        step: step.name.clone(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use aggregates::saga::{AttemptEnded, AttemptResult, SagaStarted, StepParked, StepStarted};
    use chrono::TimeDelta;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn started(attempt: u32, second: i64) -> SagaEvent {
        StepStarted {
            step: "pay".to_owned(),
            attempt,
            key: String::new(),
            owner: Uuid::nil(),
            deadline: at(second + 6),
            branch: false,
            asks: false,
            at: at(second),
        }
        .into()
    }

    /// A step that nobody has answered, and that is listed for it and tried all the same.
    fn unanswered() -> State {
        let began = SagaStarted {
            saga: "errand".to_owned(),
            version: 1,
            input: Value::Null,
            at: at(0),
        };
        let ended = AttemptEnded {
            step: "pay".to_owned(),
            attempt: 1,
            result: AttemptResult::Unknown,
            reason: String::new(),
            next_at: at(10),
            late: false,
            at: at(2),
        };
        let parked = StepParked {
            step: "pay".to_owned(),
            code: "overdue".to_owned(),
            reason: String::new(),
            at_stake: None,
            suggestion: String::new(),
            at: at(3),
        };
        let events: [SagaEvent; 4] = [began.into(), started(1, 1), ended.into(), parked.into()];
        let evolved = events
            .iter()
            .try_fold(State::default(), |state, event| state.evolve(event));
        evolved.expect("a history")
    }

    #[test]
    fn a_person_decides_about_a_step_between_two_attempts_and_not_during_one() {
        let (state, any) = (unanswered(), Selection::default());
        assert!(resolvable(&state, Some("pay"), &any).is_ok());
        let tried = state.evolve(&started(2, 10)).expect("another attempt");
        let refused = resolvable(&tried, Some("pay"), &any);
        assert!(matches!(refused, Err(VerbError::NotApplicable { .. })));
    }
}
