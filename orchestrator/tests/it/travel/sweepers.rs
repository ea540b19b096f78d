//! One of several processes sweeps, and when it is gone another one does. What it finds ends, whatever becomes of wake-ups, and does
//! not fill its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aggregates::saga::Phase;
use chrono::{DateTime, Utc};
use eventstore::testing::TestLog;
use eventstore::{EventStore, Position};
use futures_util::future::{BoxFuture, join_all};
use orchestrator::saga::clock::Clock;
use orchestrator::saga::definition::{Definition, Probe, Saga};
use orchestrator::saga::dispatch::{Begins, Dispatch, Wakeup};
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::index::{Due, IndexError, LogIndex, SagaIndex};
use orchestrator::saga::step::{Class, RetryPolicy, StepSpec};
use orchestrator::saga::sweeper::{Pace, Sweeper};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::agency::Agency;
use super::desk::{Desk, request};
use super::errands::Errands;
use super::trip::Trip;
use crate::harness::TestClock;
use crate::soak;
use crate::town::{STUCK, until};

const EVERY: Duration = Duration::from_millis(50);
/// Long enough that a busy machine renews it in time.
const LEASE: Duration = Duration::from_secs(6);

/// An index that tells how often it was asked: only whoever sweeps asks.
struct Asked {
    index: LogIndex,
    times: Arc<AtomicUsize>,
}

impl SagaIndex for Asked {
    fn due<'a>(
        &'a self,
        before: DateTime<Utc>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Due>, IndexError>> {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.index.due(before, limit)
    }

    fn count<'a>(&'a self, before: DateTime<Utc>) -> BoxFuture<'a, Result<usize, IndexError>> {
        self.index.count(before)
    }
}

/// A sweeper of a process of its own, as far as the lease can tell.
struct Broom {
    sweeps: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Broom {
    fn start(store: &EventStore, agency: &Arc<Agency>) -> Self {
        let sweeps = Arc::new(AtomicUsize::new(0));
        let index = Asked {
            index: LogIndex::new(store.clone(), Position::ZERO),
            times: Arc::clone(&sweeps),
        };
        let pace = Pace {
            every: EVERY,
            lease: LEASE,
            ..Pace::default()
        };
        let engine = Desk::engine(store, agency);
        let sweeper = Sweeper::new(store.clone(), engine, Arc::new(index), pace);
        let stop = CancellationToken::new();
        let running = tokio::spawn(sweeper.run(stop.clone()));
        Self {
            sweeps,
            stop,
            running,
        }
    }

    fn sweeps(&self) -> usize {
        self.sweeps.load(Ordering::SeqCst)
    }

    async fn until_it_has_swept(&self, times: usize) {
        let swept = async {
            while self.sweeps() < times {
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::time::timeout(STUCK, swept).await.expect("it sweeps");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_sweeps_and_another_takes_over_when_it_is_gone() {
    // At once: most of it is waiting.
    let logs = [TestLog::sqlite(), TestLog::postgres()];
    join_all(logs.map(one_sweeps_and_another_takes_over)).await;
}

async fn one_sweeps_and_another_takes_over(log: TestLog) {
    let store = log.open().await;
    let agency = Arc::new(Agency::default());
    let first = Broom::start(&store, &agency);
    first.until_it_has_swept(1).await;
    let second = Broom::start(&store, &agency);
    // Longer than a lease without its renewals, and the second asks for it all the time.
    let since = tokio::time::Instant::now();
    while since.elapsed() < LEASE * 5 / 4 {
        first.until_it_has_swept(first.sweeps() + 1).await;
    }
    assert_eq!(second.sweeps(), 0, "two sweep at once");

    // As after a crash: nobody gives the lease back.
    first.running.abort();
    assert!(
        first
            .running
            .await
            .expect_err("it was cut short")
            .is_cancelled()
    );
    second.until_it_has_swept(1).await;

    let third = Broom::start(&store, &agency);
    second.until_it_has_swept(second.sweeps() + 5).await;
    assert_eq!(third.sweeps(), 0, "two sweep at once");
    // In order: the lease is given back, and nobody has to wait for its end.
    let given_back = tokio::time::Instant::now();
    second.stop.cancel();
    second.running.await.expect("no panic");
    third.until_it_has_swept(1).await;
    assert!(
        given_back.elapsed() < LEASE / 2,
        "after {:?}",
        given_back.elapsed()
    );
    third.stop.cancel();
    third.running.await.expect("no panic");
}

/// A queue that takes every wake-up and gives none to anybody, as when its consumer is paused, or one that takes none.
pub(super) struct Hole {
    takes: bool,
    told: AtomicUsize,
}

impl Hole {
    pub(super) fn new(takes: bool) -> Arc<Self> {
        let told = AtomicUsize::new(0);
        Arc::new(Self { takes, told })
    }
}

impl Dispatch for Hole {
    fn dispatch(&self, _: Wakeup) -> bool {
        self.told.fetch_add(1, Ordering::SeqCst);
        self.takes
    }
}

fn leaves(begins: Begins, hole: &Arc<Hole>) -> Options {
    Options {
        begins,
        dispatch: Some(Arc::clone(hole) as Arc<dyn Dispatch>),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_takes_wakeups_and_delivers_none_holds_no_saga_up() {
    let desk = Desk::open().await;
    let hole = Hole::new(true);
    let office = |begins| {
        let trip: Arc<dyn Saga> = Arc::new(Trip::new(Arc::clone(&desk.agency)));
        let options = leaves(begins, &hole);
        Engine::new(desk.store.clone(), vec![trip], options).expect("a sound saga")
    };
    let (front, back) = (office(Begins::Only(&["deposit"])), office(Begins::All));
    let stop = CancellationToken::new();
    // As `serve` has it: whoever sweeps passes on to the same queue.
    let sweeping = desk.sweep(&back, stop.clone());
    let id = Uuid::now_v7();
    let started = front.start("trip", id, Value::Null, Vec::new()).await;
    let mut running = started.expect("it starts");
    let booked =
        running.wait_for(|now| now.state.step("board").is_some() && now.state.is_done("mail"));
    let booked = tokio::time::timeout(STUCK, booked).await;
    assert!(booked.expect("it is booked").is_some());
    let told = hole.told.load(Ordering::SeqCst);
    assert!(told >= 2, "by the front and by the sweeper: {told}");
    front.cancel(id, &request()).await.expect("it is asked for");
    let rest = running.wait_for(|now| now.state.is_finished());
    let rest = tokio::time::timeout(STUCK, rest).await.expect("it rests");
    let phase = rest.expect("it is for this build").state.phase;
    assert_eq!(phase, Phase::Unwound);
    let dossier = desk.agency.dossier(id);
    for effect in ["deposit", "hotel", "seat", "flight", "mail", "refund"] {
        assert_eq!(dossier.count(effect), 1, "{effect}");
    }
    stop.cancel();
    sweeping.await.expect("no panic");
}

/// Sagas that have a task at once of those that nobody asked for.
const PLACES: usize = 50;
/// Of them those that get through to the participant; the others wait for their turn there.
const CALLS: usize = 8;

/// The last step is one whose participant answers when it is told to.
fn slow(first: Option<StepSpec>) -> Errands {
    let errand = StepSpec::call("errand", Class::Retriable)
        .concurrency(CALLS)
        .time_limit(STUCK * 10);
    let definition = Definition {
        forward: first.into_iter().chain([errand]).collect(),
        branches: Vec::new(),
        unwind: Vec::new(),
    };
    Errands::new(definition, &["errand"])
}

fn engine(desk: &Desk, errands: &Arc<Errands>, options: Options) -> Engine {
    let saga: Arc<dyn Saga> = Arc::clone(errands) as Arc<dyn Saga>;
    Engine::new(desk.store.clone(), vec![saga], options).expect("a sound saga")
}

async fn start(engine: &Engine, sagas: usize) {
    let ids: Vec<Uuid> = (0..sagas).map(|_| Uuid::now_v7()).collect();
    for some in ids.chunks(250) {
        let start = |id: &Uuid| engine.start("errands", *id, Value::Null, Vec::new());
        for started in join_all(some.iter().map(start)).await {
            drop(started.expect("it starts"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_that_nobody_can_be_told_of_does_not_fill_the_memory_of_whoever_sweeps() {
    let desk = Desk::open().await;
    let (errands, hole) = (Arc::new(slow(None)), Hole::new(false));
    let sagas = soak::size(5_000);
    let front = engine(&desk, &errands, leaves(Begins::Only(&[]), &hole));
    start(&front, sagas).await;
    let options = Options {
        places: PLACES,
        ..leaves(Begins::All, &hole)
    };
    let back = engine(&desk, &errands, options);
    let index = Arc::new(LogIndex::new(desk.store.clone(), Position::ZERO));
    let pace = Pace {
        grace: Duration::ZERO,
        again_after: Duration::from_millis(100),
        ..Pace::default()
    };
    let asked = Arc::clone(&index) as Arc<dyn SagaIndex>;
    let mut sweeper = Sweeper::new(desk.store.clone(), back.clone(), asked, pace);
    let first = sweeper.sweep().await.expect("swept");
    assert_eq!((first.woken.len(), back.live()), (PLACES, PLACES));
    errands.begun("errand", CALLS).await;
    for nth in 2..=20 {
        let sweep = sweeper.sweep().await.expect("swept");
        let grown = (sweep.woken.len(), back.live());
        assert_eq!(grown, (0, PLACES), "sweep {nth}");
    }
    for _ in 0..sagas {
        errands.let_go("errand");
    }
    let mut most = 0;
    until("all of them end", STUCK * 2, async || {
        sweeper.sweep().await.expect("swept");
        most = most.max(back.live());
        let due = index.count(Utc::now()).await.expect("counted");
        let over = errands.count("errand") == sagas && back.live() == 0 && due == 0;
        over.then_some(())
    })
    .await;
    assert!((1..=PLACES).contains(&most), "{most} at once");
}

const HOUR: Duration = Duration::from_secs(3_600);

fn rest(engine: &Engine) -> Option<()> {
    (engine.live() == 0).then_some(())
}

/// As when all wait for the same participant, and it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn timers_that_end_at_once_do_not_fill_the_memory_and_none_is_lost() {
    let desk = Desk::open().await;
    let looks = RetryPolicy::new(Duration::from_secs(60), Duration::from_secs(900));
    let reply = StepSpec::awaiting("reply", Class::Retriable, looks).concurrency(CALLS);
    let mut errands = slow(Some(reply));
    errands.looks = |ran| match ran {
        ran if ran > HOUR => Probe::Done(Value::Null),
        _ => Probe::NotFound,
    };
    let errands = Arc::new(errands);
    let clock = Arc::new(TestClock::at(Utc::now()));
    let options = Options {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        places: PLACES,
        // What is to be done to a saga is done, and then it has a timer.
        linger: Duration::ZERO,
        ..Options::default()
    };
    let engine = engine(&desk, &errands, options);
    let sagas = soak::size(5_000);
    start(&engine, sagas).await;
    until("all of them wait", STUCK * 2, async || rest(&engine)).await;
    clock.advance_to(clock.now() + chrono::Duration::hours(2));
    let mut most = 0;
    for nth in 1..=sagas {
        errands.begun("errand", nth).await;
        most = most.max(engine.live());
        errands.let_go("errand");
    }
    until("all of them end", STUCK, async || rest(&engine)).await;
    assert!((CALLS..=PLACES).contains(&most), "{most} at once");
    assert_eq!(errands.count("errand"), sagas);
}
