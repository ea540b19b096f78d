//! What an engine does when time or permits run out.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::saga::{Standing, State, Status};
use chrono::Utc;
use eventstore::{Position, RELATED_MAX, RecordedEvent};
use orchestrator::saga::clock::Clock;
use orchestrator::saga::definition::{Branch, Definition, Probe, Saga};
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::index::LogIndex;
use orchestrator::saga::plan::GAVE_UP;
use orchestrator::saga::step::{Class, OnRefusal, RetryPolicy, StepSpec};
use orchestrator::saga::sweeper::{Pace, Sweeper};
use serde_json::Value;
use uuid::Uuid;

use super::desk::Desk;
use super::errands::Errands;
use crate::harness::{Strike, Striker, TestClock};
use crate::town::STUCK;

const DAY: chrono::Duration = chrono::Duration::days(1);

/// Where log lines of this test go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Log lines that say this.
    fn count(&self, says: &str) -> usize {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().filter(|line| line.contains(says)).count()
    }
}

#[tokio::test]
async fn a_saga_that_stays_overdue_although_it_is_woken_is_reported_now_and_then() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    desk.engine.halt();
    // An engine that does not know trips wakes it in vain.
    let clock = Arc::new(TestClock::at(Utc::now() + DAY));
    let options = Options {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..Options::default()
    };
    let stranger = Engine::new(desk.store.clone(), Vec::new(), options).unwrap();
    let index = Arc::new(LogIndex::new(desk.store.clone(), Position::ZERO));
    let pace = Pace::default();
    let mut sweeper = Sweeper::new(desk.store.clone(), stranger.clone(), index, pace);
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_ansi(false);
    let log = log.with_writer(move || writer.clone());
    let _log = tracing::subscriber::set_default(log.finish());

    let first = sweeper.sweep().await.unwrap();
    assert_eq!(first.woken, [id]);
    assert_eq!(
        first.oldest.iter().map(|due| due.id).collect::<Vec<_>>(),
        [id]
    );
    let again = sweeper.sweep().await.unwrap();
    assert_eq!((again.woken, again.wedged), (vec![], 1));
    let overdue = "sagas are overdue although they were woken";
    let named = format!("count=1 oldest=[\"{id}\"]");
    assert_eq!((lines.count(overdue), lines.count(&named)), (1, 1));
    while stranger.is_live(id) {
        tokio::task::yield_now().await;
    }
    clock.advance_to(clock.now() + chrono::Duration::from_std(pace.wedged_after).unwrap());
    let later = sweeper.sweep().await.unwrap();
    assert_eq!((later.woken, later.wedged), (vec![id], 1));
    assert_eq!(lines.count(overdue), 2);
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Where errands of one step come to rest, and how long that takes.
async fn at_rest(errands: Errands) -> (Arc<State>, Duration) {
    let (state, took, _) = told(errands).await;
    (state, took)
}

/// The same, and what is in the log of it.
async fn told(errands: Errands) -> (Arc<State>, Duration, Vec<RecordedEvent>) {
    let desk = Desk::open().await;
    let clock = Arc::new(TestClock::at(Utc::now()));
    let striker = Striker::new(Arc::clone(&clock), Strike::None);
    let options = Options {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        linger: Duration::from_secs(100_000),
        observer: Some(Arc::new(striker)),
        ..Options::default()
    };
    let engine = Engine::new(desk.store.clone(), vec![Arc::new(errands)], options).unwrap();
    let id = Uuid::now_v7();
    let started = engine.start("errands", id, Value::Null, Vec::new());
    let mut running = started.await.unwrap();
    let rest = running.wait_for(|now| now.state.is_at_rest()).await;
    let state = Arc::clone(&rest.unwrap().state);
    let took = (state.updated_at - state.started_at).to_std().unwrap();
    let events = desk.store.read_related(id).await.unwrap();
    (state, took, events)
}

fn one_step(step: StepSpec) -> Definition {
    Definition {
        forward: vec![step],
        branches: Vec::new(),
        unwind: Vec::new(),
    }
}

/// A saga of one letter that nobody answers, which is given up after an hour.
async fn unanswered_letter(then: OnRefusal) -> (Status, Duration, u32, Standing) {
    let letter = StepSpec::call("letter", Class::Retriable)
        .give_up_after(HOUR)
        .on_refusal(then);
    let mut errands = Errands::new(one_step(letter), &[]);
    errands.silent.push("letter");
    let (state, took) = at_rest(errands).await;
    let letter = state.step("letter").unwrap();
    (
        state.status(),
        took,
        letter.attempt,
        letter.standing.clone(),
    )
}

#[tokio::test]
async fn a_step_that_is_not_settled_in_its_time_is_given_up() {
    for (then, status) in [
        (OnRefusal::Accept, Status::Completed),
        (OnRefusal::Park, Status::Parked),
    ] {
        let (ended, took, attempts, standing) = unanswered_letter(then).await;
        assert_eq!(ended, status);
        assert!(is_given_up(&standing), "{standing:?}");
        // Until the last moment it was tried, and not a pause longer.
        assert!(
            attempts > 10 && took >= HOUR && took < HOUR + Duration::from_secs(10),
            "{took:?}"
        );
    }
}

/// A reply that is waited for, for an hour.
async fn awaited_reply(looks: fn(Duration) -> Probe) -> (Standing, Duration) {
    let pauses = RetryPolicy::new(Duration::from_secs(60), Duration::from_secs(900));
    let reply = StepSpec::awaiting("reply", Class::Retriable, pauses)
        .give_up_after(HOUR)
        .on_refusal(OnRefusal::Accept);
    let mut errands = Errands::new(one_step(reply), &[]);
    errands.looks = looks;
    let (state, took) = at_rest(errands).await;
    (state.step("reply").unwrap().standing.clone(), took)
}

fn is_given_up(standing: &Standing) -> bool {
    matches!(standing, Standing::Refused { code, .. } if code == GAVE_UP)
}

#[tokio::test]
async fn a_step_that_waits_is_given_up_by_a_look_when_its_time_is_over() {
    let not_yet = |_| Probe::NotFound;
    let undecided = |_| Probe::Undecided {
        reason: "it is on its way".to_owned(),
    };
    for looks in [not_yet as fn(Duration) -> Probe, undecided] {
        let (standing, took) = awaited_reply(looks).await;
        assert!(is_given_up(&standing), "{standing:?}");
        assert!(
            (HOUR..HOUR + Duration::from_secs(10)).contains(&took),
            "{took:?}"
        );
    }
    let at_the_last_moment = |ran| match ran {
        ran if ran > HOUR => Probe::Done(Value::Null),
        _ => Probe::NotFound,
    };
    let (standing, took) = awaited_reply(at_the_last_moment).await;
    assert_eq!(standing, Standing::Done);
    assert!(took >= HOUR, "{took:?}");
}

#[tokio::test]
async fn a_step_that_waits_is_not_given_up_while_nobody_can_be_asked() {
    let comes_back_with_it = |ran| match ran {
        ran if ran > 30 * HOUR => Probe::Done(Value::Null),
        _ => Probe::Unknown {
            reason: "it is away".to_owned(),
        },
    };
    let comes_back_without = |ran| match ran {
        ran if ran > 30 * HOUR => Probe::NotFound,
        _ => Probe::Unknown {
            reason: "it is away".to_owned(),
        },
    };
    let (standing, took) = awaited_reply(comes_back_with_it).await;
    assert_eq!(standing, Standing::Done);
    assert!(took >= 29 * HOUR, "{took:?}");
    let (standing, took) = awaited_reply(comes_back_without).await;
    assert!(is_given_up(&standing), "{standing:?}");
    assert!(took >= 29 * HOUR, "{took:?}");
}

const MONTH: Duration = Duration::from_hours(30 * 24);

/// What is in the log of a saga of one step that nobody answers for a month.
async fn a_month_of_silence(mut step: StepSpec) -> Vec<RecordedEvent> {
    step.name = "parcel";
    let mut errands = Errands::new(one_step(step), &[]);
    errands.silent.push("parcel");
    errands.looks = |ran| match ran {
        ran if ran > MONTH => Probe::Done(Value::Null),
        _ => Probe::Unknown {
            reason: "nobody answers".to_owned(),
        },
    };
    let (state, took, events) = told(errands).await;
    assert_eq!(state.status(), Status::Completed);
    assert!((MONTH..MONTH + 10 * HOUR).contains(&took), "{took:?}");
    assert!(events.len() < RELATED_MAX / 4, "{} events", events.len());
    events
}

/// As when one order's call fails at a provider that is well, day after day.
#[tokio::test]
async fn a_step_that_nobody_answers_for_a_month_is_listed_goes_on_by_itself_and_fills_no_log() {
    let call = StepSpec::call("", Class::Compensatable).park_after(6 * HOUR);
    let events = a_month_of_silence(call).await;
    let parked = |event: &&RecordedEvent| &*event.event_type == "StepParked";
    let parked: Vec<_> = events.iter().filter(parked).collect();
    assert_eq!(parked.len(), 1);
    assert!(parked[0].data.get().contains("\"overdue\""));
    let looks = RetryPolicy::new(Duration::from_secs(60), Duration::from_secs(300));
    let wait = StepSpec::awaiting("", Class::Retriable, looks).give_up_after(HOUR);
    a_month_of_silence(wait).await;
}

/// Errands of two kinds that may each be run by one at a time, beside each other.
fn two_kinds() -> Arc<Errands> {
    let one = |name| {
        StepSpec::call(name, Class::Retriable)
            .concurrency(1)
            .time_limit(Duration::from_secs(120))
    };
    let definition = Definition {
        forward: vec![StepSpec::call("start", Class::Retriable), one("bank")],
        branches: vec![Branch {
            after: "start",
            step: one("post"),
        }],
        unwind: Vec::new(),
    };
    Arc::new(Errands::new(definition, &["bank", "post"]))
}

async fn running(errands: &Arc<Errands>, sagas: usize) -> (Desk, Engine) {
    let desk = Desk::open().await;
    let list = vec![Arc::clone(errands) as Arc<dyn Saga>];
    let engine = Engine::new(desk.store.clone(), list, Options::default()).unwrap();
    for _ in 0..sagas {
        let started = engine.start("errands", Uuid::now_v7(), Value::Null, Vec::new());
        started.await.unwrap();
    }
    (desk, engine)
}

#[tokio::test]
async fn a_kind_of_step_that_has_no_permits_left_does_not_hold_up_another_kind() {
    let errands = two_kinds();
    let (_desk, engine) = running(&errands, 4).await;
    // The bank takes its time for one; all four get their letters posted.
    for done in 0..4 {
        errands.begun("post", done + 1).await;
        errands.let_go("post");
    }
    assert_eq!(errands.count("bank"), 1);
    for done in 0..4 {
        errands.begun("bank", done + 1).await;
        errands.let_go("bank");
    }
    assert!(engine.drain(STUCK).await);
}

#[tokio::test]
async fn a_saga_that_waits_for_permits_of_two_kinds_takes_whichever_comes_first() {
    for (first, second) in [("bank", "post"), ("post", "bank")] {
        let errands = two_kinds();
        let (_desk, engine) = running(&errands, 2).await;
        errands.begun("bank", 1).await;
        errands.begun("post", 1).await;
        errands.let_go(first);
        assert_eq!(errands.begun(first, 2).await.len(), 2);
        assert_eq!(errands.count(second), 1);
        for step in [first, second, second] {
            errands.let_go(step);
        }
        errands.begun(second, 2).await;
        assert!(engine.drain(STUCK).await);
    }
}
