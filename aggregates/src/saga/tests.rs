use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

/// An event with the fields that matter to a test.
macro_rules! event {
    ($event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        SagaEvent::from($event { at: at(1), $($field: $value),* })
    };
}

fn pay() -> String {
    "pay".to_owned()
}

fn why() -> String {
    "So it is.".to_owned()
}

fn kim() -> String {
    "operator:kim".to_owned()
}

fn begun() -> SagaEvent {
    event!(SagaStarted {
        saga: "fulfilment".to_owned(),
        version: 1,
        input: Value::Null,
    })
}

/// An attempt that is owned for ten seconds.
fn started(attempt: u32, second: i64) -> SagaEvent {
    SagaEvent::from(StepStarted {
        step: pay(),
        attempt,
        key: "k-1".to_owned(),
        owner: Uuid::nil(),
        deadline: at(second + 10),
        branch: false,
        asks: false,
        at: at(second),
    })
}

fn done() -> SagaEvent {
    event!(StepDone {
        step: pay(),
        attempt: 1,
        output: Value::Null,
        late: false,
    })
}

fn refused_as(code: &str) -> SagaEvent {
    event!(StepRefused {
        step: pay(),
        attempt: 1,
        code: code.to_owned(),
        reason: why(),
        late: false,
    })
}

fn refused() -> SagaEvent {
    refused_as("declined")
}

fn ended() -> SagaEvent {
    event!(AttemptEnded {
        step: pay(),
        attempt: 1,
        result: AttemptResult::Unknown,
        reason: why(),
        next_at: at(5),
        late: false,
    })
}

/// What was said by somebody whom others had overtaken.
fn late(mut answer: SagaEvent) -> SagaEvent {
    match &mut answer {
        SagaEvent::StepDone(event) => event.late = true,
        SagaEvent::StepRefused(event) => event.late = true,
        SagaEvent::AttemptEnded(event) => event.late = true,
        _ => unreachable!("only answers come late"),
    }
    answer
}

fn polled() -> SagaEvent {
    event!(Polled {
        step: pay(),
        next_at: at(5),
    })
}

fn parked() -> SagaEvent {
    event!(StepParked {
        step: pay(),
        code: "account-closed".to_owned(),
        reason: why(),
        at_stake: None,
        suggestion: why(),
    })
}

fn retried() -> SagaEvent {
    event!(RetryRequested {
        step: pay(),
        reason: why(),
        actor: kim(),
    })
}

fn undone() -> SagaEvent {
    event!(StepResolved {
        step: pay(),
        outcome: Verdict::Undone,
        evidence: Value::Null,
        forced: false,
        reason: why(),
        actor: kim(),
    })
}

fn skipped() -> SagaEvent {
    event!(StepSkipped {
        step: pay(),
        reason: why(),
        actor: kim(),
    })
}

fn told() -> SagaEvent {
    event!(SignalReceived {
        signal: "scan".to_owned(),
        data: Value::Null,
    })
}

fn canceling() -> SagaEvent {
    event!(CancelRequested {
        reason: why(),
        actor: kim(),
    })
}

fn cancel_refused() -> SagaEvent {
    event!(CancelRefused {
        code: "past-point-of-no-return".to_owned(),
        reason: why(),
    })
}

fn unwinding() -> SagaEvent {
    event!(UnwindStarted {
        cause: Cause {
            kind: CauseKind::Cancel,
            step: None,
            code: "canceled".to_owned(),
            reason: why(),
        },
        actor: kim(),
    })
}

fn rested() -> SagaEvent {
    event!(SagaRested {})
}

fn completed() -> SagaEvent {
    event!(SagaCompleted {})
}

fn unwound() -> SagaEvent {
    event!(SagaUnwound {})
}

/// A saga that has begun, and then these.
fn going(events: &[SagaEvent]) -> Vec<SagaEvent> {
    [&[begun()], events].concat()
}

/// A saga that has begun to pay, and then these.
fn paying(events: &[SagaEvent]) -> Vec<SagaEvent> {
    [&[begun(), started(1, 0)], events].concat()
}

#[track_caller]
fn given(history: &[SagaEvent]) -> State {
    let folded = history.iter().try_fold(State::default(), State::evolve);
    folded.expect("the given events are a history")
}

/// Every event that the saga may meet, those about a step first.
fn events() -> [(char, SagaEvent); 22] {
    [
        ('B', begun()),
        ('1', started(1, 0)),
        // The second attempt: while the first is owned, and when it no longer is.
        ('o', started(2, 9)),
        ('t', started(2, 10)),
        ('D', done()),
        ('d', late(done())),
        ('R', refused()),
        ('r', late(refused())),
        ('E', ended()),
        ('e', late(ended())),
        ('P', polled()),
        ('K', parked()),
        ('Y', retried()),
        ('V', undone()),
        ('X', skipped()),
        ('S', told()),
        ('c', canceling()),
        ('n', cancel_refused()),
        ('U', unwinding()),
        ('z', rested()),
        ('C', completed()),
        ('W', unwound()),
    ]
}

#[test]
fn each_event_follows_exactly_what_it_may() {
    let not_done = refused_as(NOT_DONE);
    let stages = [
        ("nothing", vec![], "B....................."),
        ("begun", going(&[]), ".1..DdRr..PK...Sc.UzC."),
        ("under way", paying(&[]), "...tDdRrEe.KYVXSc.UzC."),
        ("backing off", paying(&[ended()]), "..otDdRr...KYVXSc.UzC."),
        ("waiting", going(&[polled()]), "....DdRr..PKYVXSc.UzC."),
        ("done", paying(&[done()]), "....Dd.r...KYVXSc.UzC."),
        ("refused", paying(&[refused()]), ".....d.r.e.KYVXSc.UzC."),
        (
            "refused, parked",
            paying(&[refused(), parked()]),
            ".....d.r...KYVXSc.UzC.",
        ),
        ("undone", paying(&[undone()]), ".....d.r...KYVXSc.UzC."),
        ("skipped", paying(&[skipped()]), ".....d.r...KYVXSc.UzC."),
        (
            "unwinding",
            paying(&[done(), unwinding()]),
            "....Dd.r...KYVXS.n.z.W",
        ),
        (
            "refused on the way back",
            going(&[unwinding(), started(1, 0), refused()]),
            ".....d.r...KYVXS.n.z.W",
        ),
        (
            "not done on the way back",
            going(&[unwinding(), started(1, 0), not_done]),
            "..ot.d.r...KYVXS.n.z.W",
        ),
        (
            "forward again",
            going(&[canceling(), unwinding(), cancel_refused()]),
            ".1..DdRr..PK...Sc.UzC.",
        ),
        (
            "completed",
            paying(&[done(), completed()]),
            ".....d.r...KYVXS...z..",
        ),
        (
            "unwound",
            paying(&[refused(), unwinding(), unwound()]),
            ".....d.r.e.KYVXS...z..",
        ),
    ];
    for (stage, history, expected) in stages {
        let state = given(&history);
        let fits = |event: &SagaEvent| state.clone().evolve(event).is_ok();
        let found: String = events()
            .iter()
            .map(|(letter, event)| if fits(event) { *letter } else { '.' })
            .collect();
        assert_eq!(found, expected, "{stage}");
    }
}

#[track_caller]
fn contradicts(why: &str, history: &[SagaEvent], event: &SagaEvent) {
    let illegal = given(history).evolve(event).expect_err(why);
    assert_eq!((illegal.event, &*illegal.why), (event.event_type(), why));
}

#[test]
fn an_event_of_the_whole_saga_that_cannot_follow_says_what_it_contradicts() {
    for (_, event) in events().iter().filter(|(letter, _)| *letter != 'B') {
        contradicts("the saga has not started", &[], event);
    }
    contradicts("the saga is Forward, not New", &going(&[]), &begun());
    for event in [cancel_refused(), unwound()] {
        contradicts("the saga is Forward, not Unwinding", &going(&[]), &event);
    }
    let back = going(&[unwinding()]);
    for event in [canceling(), unwinding(), completed()] {
        contradicts("the saga is Unwinding, not Forward", &back, &event);
    }
}

#[test]
fn an_event_of_a_step_that_cannot_follow_says_what_it_contradicts() {
    let finished = going(&[completed()]);
    for event in [started(1, 0), done()] {
        contradicts("the saga has finished", &finished, &event);
    }
    let untouched = going(&[]);
    for event in [late(ended()), retried(), undone(), skipped()] {
        contradicts("pay was never touched", &untouched, &event);
    }
    let owned = "pay is owned until 1970-01-01 00:00:10 UTC";
    contradicts(owned, &paying(&[]), &started(2, 9));
    let (first, settled) = (started(1, 0), going(&[done()]));
    for (why, history, event) in [
        ("attempt 2 follows attempt 0", &untouched, started(2, 0)),
        ("pay is settled or only waits", &going(&[polled()]), first),
        ("pay is settled", &going(&[refused()]), done()),
        ("pay is settled", &settled, refused()),
        ("pay is settled", &finished, refused()),
        ("attempt 1 of pay is not open", &untouched, ended()),
        ("pay cannot be opened again", &settled, late(ended())),
        ("pay does not wait", &settled, polled()),
    ] {
        contradicts(why, history, &event);
    }
}

#[test]
fn what_was_seen_on_the_way_back_is_not_forgotten_when_the_saga_turns_round() {
    let back = [canceling(), unwinding(), late(done()), cancel_refused()];
    let state = given(&going(&back));
    assert_eq!((state.phase, state.is_done("pay")), (Phase::Forward, true));
    // What an older build did after that: it looked again, and saw it again.
    let looked = [&back[..], &[polled(), refused(), done()]].concat();
    assert!(given(&going(&looked)).is_done("pay"));
}
