//! Events of a saga in any order, about few steps and few attempts, so that many of them fit what went before.

use aggregates::saga::{
    AttemptEnded, AttemptResult, CancelRefused, CancelRequested, Cause, CauseKind, NOT_DONE,
    OVERDUE, Polled, RetryRequested, SagaCompleted, SagaEvent, SagaRested, SagaStarted,
    SagaUnwound, SignalReceived, Stake, StepDone, StepParked, StepRefused, StepResolved,
    StepSkipped, StepStarted, UnwindStarted, Verdict,
};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::{time, words};

/// What a saga's participants may answer: any JSON without fractions.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(words(), inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Mostly one of few moments, so that deadlines are met, missed and hit exactly.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    let soon = (0..20_i64).prop_map(|second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second));
    prop_oneof![9 => soon, 1 => time()]
}

/// One of two steps.
fn step() -> impl Strategy<Value = String> {
    one_of(["pay", "ship"])
}

fn one_of(words: [&'static str; 2]) -> impl Strategy<Value = String> {
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

/// One of three attempts.
fn attempt() -> impl Strategy<Value = u32> {
    1..=3_u32
}

fn seldom() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.2)
}

fn begins() -> impl Strategy<Value = SagaEvent> {
    (words(), any::<u32>(), json(), moment()).prop_map(|(saga, version, input, at)| {
        SagaEvent::from(SagaStarted {
            saga,
            version,
            input,
            at,
        })
    })
}

fn starts() -> impl Strategy<Value = SagaEvent> {
    let who = (words(), (1..=2_u128).prop_map(Uuid::from_u128));
    let what = (step(), attempt(), seldom(), seldom());
    (who, what, moment(), moment()).prop_map(
        |((key, owner), (step, attempt, branch, asks), deadline, at)| {
            SagaEvent::from(StepStarted {
                step,
                attempt,
                key,
                owner,
                deadline,
                branch,
                asks,
                at,
            })
        },
    )
}

fn succeeds() -> impl Strategy<Value = SagaEvent> {
    (step(), attempt(), json(), seldom(), moment()).prop_map(|(step, attempt, output, late, at)| {
        SagaEvent::from(StepDone {
            step,
            attempt,
            output,
            late,
            at,
        })
    })
}

fn is_refused() -> impl Strategy<Value = SagaEvent> {
    let code = one_of([NOT_DONE, "declined"]);
    (step(), attempt(), code, words(), seldom(), moment()).prop_map(
        |(step, attempt, code, reason, late, at)| {
            SagaEvent::from(StepRefused {
                step,
                attempt,
                code,
                reason,
                late,
                at,
            })
        },
    )
}

fn ends() -> impl Strategy<Value = SagaEvent> {
    let result = prop::sample::select(vec![
        AttemptResult::Unknown,
        AttemptResult::Undecided,
        AttemptResult::Spent,
        AttemptResult::NotSent,
        AttemptResult::NotFound,
    ]);
    let what = (step(), attempt(), result, words(), seldom());
    (what, moment(), moment()).prop_map(|((step, attempt, result, reason, late), next_at, at)| {
        SagaEvent::from(AttemptEnded {
            step,
            attempt,
            result,
            reason,
            next_at,
            late,
            at,
        })
    })
}

fn waits() -> impl Strategy<Value = SagaEvent> {
    (step(), moment(), moment())
        .prop_map(|(step, next_at, at)| SagaEvent::from(Polled { step, next_at, at }))
}

fn is_parked() -> impl Strategy<Value = SagaEvent> {
    let stake = (any::<i64>(), words()).prop_map(|(amount, currency)| Stake { amount, currency });
    let code = one_of([OVERDUE, "account-closed"]);
    (step(), code, words(), option::of(stake), words(), moment()).prop_map(
        |(step, code, reason, at_stake, suggestion, at)| {
            SagaEvent::from(StepParked {
                step,
                code,
                reason,
                at_stake,
                suggestion,
                at,
            })
        },
    )
}

/// What a person does about a step.
fn is_handled() -> impl Strategy<Value = SagaEvent> {
    let person = || (step(), words(), words(), moment());
    let outcome = prop::sample::select(vec![Verdict::Done, Verdict::Undone]);
    prop_oneof![
        2 => person().prop_map(|(step, reason, actor, at)| {
            SagaEvent::from(RetryRequested { step, reason, actor, at })
        }),
        1 => person().prop_map(|(step, reason, actor, at)| {
            SagaEvent::from(StepSkipped { step, reason, actor, at })
        }),
        2 => (person(), outcome, json(), any::<bool>()).prop_map(
            |((step, reason, actor, at), outcome, evidence, forced)| {
                SagaEvent::from(StepResolved { step, outcome, evidence, forced, reason, actor, at })
            }
        ),
    ]
}

/// What is about the saga as a whole.
fn turns() -> impl Strategy<Value = SagaEvent> {
    let kind = prop::sample::select(vec![CauseKind::Cancel, CauseKind::Refused]);
    let cause =
        (kind, option::of(step()), words(), words()).prop_map(|(kind, step, code, reason)| Cause {
            kind,
            step,
            code,
            reason,
        });
    prop_oneof![
        3 => (words(), json(), moment()).prop_map(|(signal, data, at)| {
            SagaEvent::from(SignalReceived { signal, data, at })
        }),
        3 => (words(), words(), moment()).prop_map(|(reason, actor, at)| {
            SagaEvent::from(CancelRequested { reason, actor, at })
        }),
        3 => (words(), words(), moment()).prop_map(|(code, reason, at)| {
            SagaEvent::from(CancelRefused { code, reason, at })
        }),
        4 => (cause, words(), moment()).prop_map(|(cause, actor, at)| {
            SagaEvent::from(UnwindStarted { cause, actor, at })
        }),
        2 => moment().prop_map(|at| SagaEvent::from(SagaRested { at })),
        1 => moment().prop_map(|at| SagaEvent::from(SagaCompleted { at })),
        1 => moment().prop_map(|at| SagaEvent::from(SagaUnwound { at })),
    ]
}

/// A saga that begins, and then anything.
pub(crate) fn saga_events() -> impl Strategy<Value = Vec<SagaEvent>> {
    let event = prop_oneof![
        1 => begins(),
        12 => starts(),
        4 => succeeds(),
        4 => is_refused(),
        6 => ends(),
        2 => waits(),
        2 => is_parked(),
        5 => is_handled(),
        8 => turns(),
    ];
    let rest = prop::collection::vec(event, 0..30);
    (begins(), rest).prop_map(|(first, rest)| [vec![first], rest].concat())
}
