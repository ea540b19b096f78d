mod people;
mod silence;

use std::time::Duration;

use aggregates::saga::{
    AttemptEnded, AttemptResult, CancelRequested, CauseKind, SagaEvent, SagaStarted, State,
    StepDone, StepRefused, StepStarted, UnwindStarted,
};
use chrono::{DateTime, TimeDelta, Utc};
use eventstore::StreamAppend;
use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::saga::definition::{Call, Definition, Outcome, Probe, RecordError, Transition};
use crate::saga::history::History;
use crate::saga::step::Class;

struct Errand(Definition);

impl Errand {
    fn new() -> Self {
        let window = Duration::from_secs(60);
        Self(Definition {
            forward: vec![
                StepSpec::call("buy", Class::Compensatable)
                    .undone_by("return")
                    .execute_until(window, "closed"),
                StepSpec::call("carry", Class::Compensatable).unkeyed(),
            ],
            branches: Vec::new(),
            unwind: vec![
                StepSpec::call("return", Class::Compensation).park_after(Duration::from_secs(3600)),
            ],
        })
    }
}

impl Saga for Errand {
    fn name(&self) -> &'static str {
        "errand"
    }

    fn version(&self) -> u32 {
        1
    }

    fn definition(&self) -> &Definition {
        &self.0
    }

    fn execute<'a>(&'a self, _call: &'a Call) -> BoxFuture<'a, Outcome> {
        unreachable!("a plan calls nobody")
    }

    fn probe<'a>(&'a self, _call: &'a Call) -> BoxFuture<'a, Probe> {
        unreachable!("a plan calls nobody")
    }

    fn record(
        &self,
        _history: &History,
        _transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        Ok(Vec::new())
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn given(events: impl IntoIterator<Item = SagaEvent>) -> State {
    let started = SagaStarted {
        saga: "errand".to_owned(),
        version: 1,
        input: Value::Null,
        at: at(0),
    };
    let mut state = State::default().evolve(&started.into()).unwrap();
    for event in events {
        state = state.evolve(&event).unwrap();
    }
    state
}

/// Begins at that second and belongs to its owner for six.
fn started(step: &str, attempt: u32, second: i64) -> SagaEvent {
    StepStarted {
        step: step.to_owned(),
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

fn done(step: &str, second: i64) -> SagaEvent {
    StepDone {
        step: step.to_owned(),
        attempt: 1,
        output: Value::Null,
        late: false,
        at: at(second),
    }
    .into()
}

fn ended(step: &str, result: AttemptResult, second: i64) -> SagaEvent {
    AttemptEnded {
        step: step.to_owned(),
        attempt: 1,
        result,
        reason: String::new(),
        next_at: at(second + 1),
        late: false,
        at: at(second),
    }
    .into()
}

fn cancelled(second: i64) -> Vec<SagaEvent> {
    let (reason, actor) = (String::new(), String::new());
    let cause = Cause {
        kind: CauseKind::Cancel,
        step: None,
        code: String::new(),
        reason: String::new(),
    };
    let request = CancelRequested {
        reason,
        actor: actor.clone(),
        at: at(second),
    };
    let turn = UnwindStarted {
        cause,
        actor,
        at: at(second),
    };
    vec![request.into(), turn.into()]
}

fn planned(state: &State, second: i64) -> Plan {
    plan(&Errand::new(), state, at(second))
}

fn begun(plan: &Plan) -> Option<(&'static str, u32, Mode)> {
    let begin = plan.begin.first()?;
    Some((begin.step, begin.attempt, begin.mode))
}

#[test]
fn the_first_step_begins_at_once() {
    let plan = planned(&given([]), 0);
    assert_eq!(begun(&plan), Some(("buy", 1, Mode::Execute)));
}

#[test]
fn nobody_takes_over_before_the_deadline_and_anybody_after_it() {
    let state = given([started("buy", 1, 0)]);
    let early = planned(&state, 5);
    assert_eq!((begun(&early), early.wake_at), (None, Some(at(6))));
    assert_eq!(
        begun(&planned(&state, 6)),
        Some(("buy", 2, Mode::ProbeThenExecute))
    );
}

#[test]
fn a_step_without_keys_is_looked_up_before_it_is_sent_again() {
    let state = given([
        started("buy", 1, 0),
        done("buy", 1),
        started("carry", 1, 1),
        ended("carry", AttemptResult::Unknown, 2),
    ]);
    let plan = planned(&state, 3);
    assert_eq!(begun(&plan), Some(("carry", 2, Mode::ProbeThenExecute)));
}

#[test]
fn a_step_that_was_surely_not_sent_is_sent_without_a_look() {
    let state = given([
        started("buy", 1, 0),
        done("buy", 1),
        started("carry", 1, 1),
        ended("carry", AttemptResult::NotSent, 2),
    ]);
    assert_eq!(
        begun(&planned(&state, 3)),
        Some(("carry", 2, Mode::Execute))
    );
}

#[test]
fn after_its_window_a_step_in_doubt_is_only_asked_about() {
    let state = given([
        started("buy", 1, 0),
        ended("buy", AttemptResult::Unknown, 2),
    ]);
    let plan = planned(&state, 60);
    assert_eq!(begun(&plan), Some(("buy", 2, Mode::Probe(Some("closed")))));
}

#[test]
fn after_its_window_a_step_that_was_never_sent_is_refused() {
    let state = given([
        started("buy", 1, 0),
        ended("buy", AttemptResult::NotSent, 2),
    ]);
    let decision = planned(&state, 60).decision;
    assert!(matches!(
        decision,
        Some(Decision::Refuse {
            step: "buy",
            code: "closed",
            ..
        })
    ));
}

#[test]
fn what_is_not_found_is_not_final_while_somebody_may_still_send_it() {
    let state = given([
        started("buy", 1, 58),
        ended("buy", AttemptResult::Unknown, 60),
    ]);
    assert_eq!(
        begun(&planned(&state, 61)),
        Some(("buy", 2, Mode::Probe(None)))
    );
}

#[test]
fn a_refusal_turns_the_saga_round() {
    let refused = StepRefused {
        step: "carry".to_owned(),
        attempt: 1,
        code: "heavy".to_owned(),
        reason: String::new(),
        late: false,
        at: at(2),
    };
    let state = given([
        started("buy", 1, 0),
        done("buy", 1),
        started("carry", 1, 1),
        refused.into(),
    ]);
    let decision = planned(&state, 2).decision;
    assert!(matches!(decision, Some(Decision::Unwind(cause)) if cause.code == "heavy"));
}

#[test]
fn a_step_in_flight_is_waited_for_before_anything_is_undone() {
    let state = given([started("buy", 1, 0)].into_iter().chain(cancelled(1)));
    let plan = planned(&state, 1);
    assert_eq!(
        (begun(&plan), plan.decision, plan.wake_at),
        (None, None, Some(at(6)))
    );
}

#[test]
fn a_step_in_doubt_is_executed_once_more_and_then_undone() {
    let doubt = [
        started("buy", 1, 0),
        ended("buy", AttemptResult::Unknown, 2),
    ];
    let state = given(doubt.into_iter().chain(cancelled(2)));
    assert_eq!(
        begun(&planned(&state, 2)),
        Some(("buy", 2, Mode::ProbeThenExecute))
    );
    let state = given(
        [started("buy", 1, 0), done("buy", 1)]
            .into_iter()
            .chain(cancelled(2)),
    );
    assert_eq!(
        begun(&planned(&state, 2)),
        Some(("return", 1, Mode::Execute))
    );
}

#[test]
fn a_saga_with_nothing_to_undo_is_unwound() {
    assert_eq!(
        planned(&given(cancelled(1)), 1).decision,
        Some(Decision::Unwound)
    );
}

#[test]
fn a_saga_with_all_steps_done_is_completed() {
    let state = given([
        started("buy", 1, 0),
        done("buy", 1),
        started("carry", 1, 1),
        done("carry", 2),
    ]);
    assert_eq!(planned(&state, 2).decision, Some(Decision::Complete));
}

/// On the way back, with the return begun at that second.
fn returning(second: i64) -> Vec<SagaEvent> {
    let bought = [started("buy", 1, 0), done("buy", 1)];
    let turned = [cancelled(2), vec![started("return", 1, second)]].concat();
    bought.into_iter().chain(turned).collect()
}

#[test]
fn a_key_that_keeps_a_failure_is_given_up_for_another_and_nothing_is_in_doubt() {
    let failed = ended("return", AttemptResult::Spent, 4);
    let state = given([returning(3), vec![failed]].concat());
    let step = state.step("return").unwrap();
    assert_eq!((step.round, step.in_doubt), (1, false));
    let plan = plan(&Errand::new(), &state, at(60));
    assert_eq!(plan.begin[0].mode, Mode::Execute);

    let unclear = ended("return", AttemptResult::Undecided, 4);
    let state = given([returning(3), vec![unclear]].concat());
    let step = state.step("return").unwrap();
    assert_eq!((step.round, step.in_doubt), (0, true));
}

#[test]
fn what_is_answered_in_vain_for_too_long_is_left_to_a_person_and_tried_once_more_for_each_request()
{
    let errand = Errand::new();
    let is_parked = |plan: &Plan| matches!(&plan.decision, Some(Decision::Park { step: "return", code, .. }) if code == OVERDUE);
    for (result, parks) in [
        (AttemptResult::Spent, true),
        (AttemptResult::Undecided, true),
        // Who is away has not failed at it, nor will they be back sooner for a person who knows.
        (AttemptResult::Unknown, false),
        (AttemptResult::NotSent, false),
    ] {
        let first = given([returning(3), vec![ended("return", result, 4)]].concat());
        assert!(!is_parked(&plan(&errand, &first, at(4))));
        let late = given([returning(3), vec![ended("return", result, 4000)]].concat());
        assert_eq!(
            is_parked(&plan(&errand, &late, at(4000))),
            parks,
            "{result:?}"
        );
        // When its time has come it is tried first.
        assert_eq!(plan(&errand, &late, at(4001)).begin.len(), 1, "{result:?}");
    }
}

#[test]
fn a_key_that_others_may_still_send_is_not_given_up_before_they_cannot() {
    let errand = Errand::new();
    let failed = |state: State| {
        let from = crate::saga::view::Snapshot {
            state: std::sync::Arc::new(state),
            ..crate::saga::view::Snapshot::empty(Uuid::nil())
        };
        let mut draft = crate::saga::draft::Draft::new(&errand, &from, at(12), 0.0);
        let attempt = from.state.step("return").unwrap().attempt;
        draft.outcome(&crate::saga::finding::Ended {
            step: "return",
            attempt,
            finding: crate::saga::finding::Finding::Open {
                result: AttemptResult::Spent,
                reason: String::new(),
            },
            sent: true,
            event_id: Uuid::nil(),
        });
        let Standing::Backoff { next_at, .. } = draft.state.step("return").unwrap().standing else {
            panic!("{:?}", draft.state);
        };
        next_at
    };
    let alone = given(returning(11));
    assert!(failed(alone) < at(13));
    // The first attempt was abandoned: whoever made it may be frozen, until the last of all deadlines.
    let after_another = given([returning(3), vec![started("return", 2, 11)]].concat());
    assert_eq!(failed(after_another), at(17));
}
