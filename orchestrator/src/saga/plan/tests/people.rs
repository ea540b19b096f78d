//! What a person decided, and what follows from it.

use aggregates::saga::{RESOLVED_UNDONE, StepParked, StepResolved, Verdict};

use super::*;
use crate::saga::step::{OnRefusal, RetryPolicy};

/// An errand that asks whether anything may be undone, and that is over once something has arrived.
fn asking() -> Errand {
    let looks = RetryPolicy::new(Duration::from_secs(60), Duration::from_secs(60));
    Errand(Definition {
        forward: vec![
            StepSpec::call("buy", Class::Compensatable).undone_by("return"),
            StepSpec::call("carry", Class::Compensatable).undone_by("ask"),
            StepSpec::awaiting("arrive", Class::Pivot, looks),
        ],
        branches: Vec::new(),
        unwind: vec![
            StepSpec::call("ask", Class::Compensation).on_refusal(OnRefusal::RefuseCancel("gone")),
            StepSpec::call("return", Class::Compensation).needs(&["ask", "arrive"]),
        ],
    })
}

fn refused(step: &str, code: &str, second: i64) -> SagaEvent {
    StepRefused {
        step: step.to_owned(),
        attempt: 1,
        code: code.to_owned(),
        reason: String::new(),
        late: false,
        at: at(second),
    }
    .into()
}

fn parked(step: &str, second: i64) -> SagaEvent {
    StepParked {
        step: step.to_owned(),
        code: String::new(),
        reason: String::new(),
        at_stake: None,
        suggestion: String::new(),
        at: at(second),
    }
    .into()
}

fn resolved(step: &str, outcome: Verdict, second: i64) -> SagaEvent {
    StepResolved {
        step: step.to_owned(),
        outcome,
        evidence: Value::Null,
        forced: false,
        reason: "it cannot be".to_owned(),
        actor: String::new(),
        at: at(second),
    }
    .into()
}

fn carried() -> Vec<SagaEvent> {
    vec![
        started("buy", 1, 0),
        done("buy", 1),
        started("carry", 1, 1),
        done("carry", 2),
    ]
}

/// It was asked whether anything may be undone, nobody could say, and a person found that it may not.
fn not_given_leave() -> Vec<SagaEvent> {
    vec![
        started("ask", 1, 3),
        refused("ask", "unknown", 4),
        parked("ask", 4),
        resolved("ask", Verdict::Undone, 5),
    ]
}

#[test]
fn a_person_who_finds_that_nothing_may_be_undone_refuses_the_request() {
    let state = given([carried(), cancelled(2), not_given_leave()].concat());
    let decision = plan(&asking(), &state, at(5)).decision;
    let expected = Decision::RefuseCancel {
        code: RESOLVED_UNDONE.to_owned(),
        reason: "it cannot be".to_owned(),
    };
    assert_eq!(decision, Some(expected));
}

#[test]
fn where_nobody_asked_or_something_is_undone_already_it_stays_with_a_person() {
    let again = Decision::Park {
        step: "ask",
        code: RESOLVED_UNDONE.to_owned(),
        reason: "it cannot be".to_owned(),
    };
    let cause = Cause {
        kind: CauseKind::Refused,
        step: Some("arrive".to_owned()),
        code: String::new(),
        reason: String::new(),
    };
    let turned = UnwindStarted {
        cause,
        actor: String::new(),
        at: at(2),
    };
    let state = given([carried(), vec![turned.into()], not_given_leave()].concat());
    assert_eq!(plan(&asking(), &state, at(5)).decision, Some(again.clone()));
    let undone = [started("return", 1, 2), done("return", 2)];
    let state = given([carried(), cancelled(2), undone.to_vec(), not_given_leave()].concat());
    assert_eq!(plan(&asking(), &state, at(5)).decision, Some(again));
}

/// The return was sent and nobody heard what came of it, then it arrived all the same and a person found that it stays there.
fn stands() -> Vec<SagaEvent> {
    let left = StepDone {
        step: "arrive".to_owned(),
        attempt: 0,
        output: Value::Null,
        late: true,
        at: at(6),
    };
    let sent = vec![
        started("ask", 1, 3),
        done("ask", 3),
        started("return", 1, 4),
        ended("return", AttemptResult::Unknown, 5),
        left.into(),
        parked("arrive", 6),
        resolved("arrive", Verdict::Done, 7),
    ];
    [carried(), cancelled(2), sent].concat()
}

#[test]
fn what_may_have_been_undone_before_a_person_let_it_stand_is_only_asked_about() {
    let state = given(stands());
    let asked = plan(&asking(), &state, at(20));
    assert_eq!(
        begun(&asked),
        Some(("return", 2, Mode::Probe(Some(NOT_DONE))))
    );
    for end in [done("return", 21), refused("return", NOT_DONE, 21)] {
        let state = given([stands(), vec![end]].concat());
        let decision = plan(&asking(), &state, at(21)).decision;
        assert_eq!(decision, Some(Decision::Unwound));
    }
}

#[test]
fn nothing_is_undone_that_was_not_begun_before_a_person_let_it_stand() {
    let unsent = stands()
        .into_iter()
        .filter(|event| !matches!(event, SagaEvent::AttemptEnded(_)))
        .filter(|event| !matches!(event, SagaEvent::StepStarted(it) if it.step == "return"));
    let decision = plan(&asking(), &given(unsent), at(20)).decision;
    assert_eq!(decision, Some(Decision::Unwound));
}
