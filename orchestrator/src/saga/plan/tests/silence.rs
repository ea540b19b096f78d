//! Steps that nobody answers: tried all the same, less and less often, and told to a person after days.

use aggregates::saga::{RetryRequested, StepParked};

use super::*;
use crate::saga::draft::Draft;
use crate::saga::finding::{Ended, Finding};
use crate::saga::view::Snapshot;

const DAY: i64 = 24 * 3600;

fn parked(second: i64) -> SagaEvent {
    StepParked {
        step: "return".to_owned(),
        code: OVERDUE.to_owned(),
        reason: String::new(),
        at_stake: None,
        suggestion: String::new(),
        at: at(second),
    }
    .into()
}

fn retried(second: i64) -> SagaEvent {
    RetryRequested {
        step: "return".to_owned(),
        reason: String::new(),
        actor: String::new(),
        at: at(second),
    }
    .into()
}

/// The return, begun at second 3 and answered by nobody until then.
fn unanswered(result: AttemptResult, second: i64) -> Vec<SagaEvent> {
    [returning(3), vec![ended("return", result, second)]].concat()
}

#[test]
fn what_nobody_answers_for_days_is_told_to_a_person_and_tried_all_the_same() {
    for result in [AttemptResult::Unknown, AttemptResult::NotSent] {
        let day = planned(&given(unanswered(result, DAY)), DAY);
        assert_eq!((day.decision, day.wake_at), (None, Some(at(DAY + 1))));

        let late = unanswered(result, 4 * DAY);
        let told = planned(&given(late.clone()), 4 * DAY).decision;
        assert!(
            matches!(&told, Some(Decision::Park { step: "return", code, .. }) if code == OVERDUE),
            "{told:?}"
        );
        let listed = [late, vec![parked(4 * DAY)]].concat();
        let plan = planned(&given(listed.clone()), 4 * DAY);
        assert_eq!((plan.decision, plan.wake_at), (None, Some(at(4 * DAY + 1))));
        let plan = planned(&given(listed.clone()), 4 * DAY + 1);
        assert_eq!(plan.begin.len(), 1, "{plan:?}");

        // An attempt whose owner is gone is taken over, as ever.
        let again = [listed, vec![started("return", 2, 4 * DAY + 1)]].concat();
        let plan = planned(&given(again.clone()), 4 * DAY + 2);
        assert_eq!((plan.decision, plan.wake_at), (None, Some(at(4 * DAY + 7))));
        let plan = planned(&given(again.clone()), 4 * DAY + 7);
        assert_eq!(plan.begin.len(), 1, "{plan:?}");

        // Whoever is back and says so takes the mark off by themselves.
        let back = given([again, vec![done("return", 4 * DAY + 2)]].concat());
        assert_eq!(
            planned(&back, 4 * DAY + 2).decision,
            Some(Decision::Unwound)
        );
    }
}

#[test]
fn a_person_who_is_told_that_nobody_answers_is_told_that_it_is_tried_all_the_same() {
    let late = unanswered(AttemptResult::Unknown, 4 * DAY);
    let errand = Errand::new();
    let from = Snapshot {
        state: std::sync::Arc::new(given(late)),
        ..Snapshot::empty(Uuid::nil())
    };
    let mut draft = Draft::new(&errand, &from, at(4 * DAY), 1.0);
    draft.settle();
    let told = draft.state.step("return").unwrap().parked.clone().unwrap();
    assert!(
        told.suggestion.contains("resolve the step first"),
        "{told:?}"
    );
}

#[test]
fn who_is_back_and_decides_nothing_is_left_to_the_person_who_was_told() {
    let listed = [
        unanswered(AttemptResult::Unknown, 4 * DAY),
        vec![parked(4 * DAY), started("return", 2, 4 * DAY + 1)],
    ];
    let undecided = AttemptEnded {
        step: "return".to_owned(),
        attempt: 2,
        result: AttemptResult::Undecided,
        reason: String::new(),
        next_at: at(4 * DAY + 3),
        late: false,
        at: at(4 * DAY + 2),
    };
    let state = given([listed.concat(), vec![undecided.into()]].concat());
    let plan = planned(&state, 4 * DAY + 10);
    assert_eq!((plan.decision, plan.begin), (Some(Decision::Rest), vec![]));
}

#[test]
fn what_lay_with_a_person_was_not_tried_meanwhile() {
    let refused = StepRefused {
        step: "return".to_owned(),
        attempt: 1,
        code: "no".to_owned(),
        reason: String::new(),
        late: false,
        at: at(5),
    };
    let begun = [returning(3), vec![refused.into(), parked(6)]].concat();
    let again = [
        begun,
        vec![retried(30 * DAY), started("return", 2, 30 * DAY)],
    ]
    .concat();
    let mut unanswered = ended("return", AttemptResult::Unknown, 30 * DAY + 1);
    if let SagaEvent::AttemptEnded(ended) = &mut unanswered {
        ended.attempt = 2;
    }
    let state = given([again, vec![unanswered]].concat());
    let since = trying_since(&state, state.step("return").unwrap());
    assert_eq!(since, at(30 * DAY));
    assert_eq!(planned(&state, 30 * DAY + 1).decision, None, "not overdue");
}

/// How long it is from an end of the first attempt at that second to the second attempt.
fn pause_after(state: State, step: &'static str, second: i64) -> i64 {
    let errand = Errand::new();
    let from = Snapshot {
        state: std::sync::Arc::new(state),
        ..Snapshot::empty(Uuid::nil())
    };
    let mut draft = Draft::new(&errand, &from, at(second), 1.0);
    draft.outcome(&Ended {
        step,
        attempt: 1,
        finding: Finding::Open {
            result: AttemptResult::Unknown,
            reason: String::new(),
        },
        sent: true,
        event_id: Uuid::nil(),
    });
    let step = draft.state.step(step).unwrap();
    (step.timer().unwrap() - at(second)).num_seconds()
}

#[test]
fn what_has_been_tried_for_long_is_tried_less_often() {
    let begun = || given([started("buy", 1, 0)]);
    assert_eq!(pause_after(begun(), "buy", 50), 1);
    assert_eq!(pause_after(begun(), "buy", 3600), 36);
    assert_eq!(pause_after(begun(), "buy", 10 * DAY), DAY / 10);
    // How long it was tried before somebody asked for the way back says nothing about that.
    let asked = [vec![started("buy", 1, 0)], cancelled(10 * DAY)].concat();
    assert_eq!(pause_after(given(asked), "buy", 10 * DAY + 50), 1);
}
