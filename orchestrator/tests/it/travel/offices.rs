//! Offices of one agency: one that only takes deposits, and one that books the rest when it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::saga::Phase;
use eventstore::Position;
use orchestrator::bus::attendant;
use orchestrator::bus::wakeups::Wakeups;
use orchestrator::saga::definition::Saga;
use orchestrator::saga::dispatch::{Begins, Dispatch, Wakeup};
use orchestrator::saga::engine::{Engine, Options, Running};
use orchestrator::saga::index::{LogIndex, SagaIndex};
use orchestrator::saga::sweeper::{Pace, Sweeper};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::desk::{Desk, request};
use super::trip::Trip;
use crate::town::{STUCK, until};

/// The longest that a late wake-up is on its way.
const LATEST: Duration = Duration::from_millis(200);

/// What the times of late wake-ups are drawn from, in the order in which they are sent.
const SEED: u64 = 7;

/// What happens to wake-ups on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Twice,
    /// Each by a time of its own, so that they overtake each other.
    Late,
    Lost,
}

/// The way between the offices.
struct Post {
    way: Way,
    wakeups: Wakeups,
    dice: Mutex<fastrand::Rng>,
}

impl Dispatch for Post {
    fn dispatch(&self, wakeup: Wakeup) -> bool {
        match self.way {
            Way::Plain => self.wakeups.publish(wakeup),
            Way::Twice => self.wakeups.publish(wakeup.clone()) && self.wakeups.publish(wakeup),
            Way::Late => {
                let wakeups = self.wakeups.clone();
                let late = LATEST.mul_f64(self.dice.lock().expect("not poisoned").f64());
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    wakeups.publish(wakeup);
                });
                true
            }
            Way::Lost => true,
        }
    }
}

/// Two engines on one log.
struct Offices {
    desk: Desk,
    /// Takes deposits.
    front: Engine,
    post: Arc<Post>,
}

impl Offices {
    async fn open(way: Way) -> Self {
        let desk = Desk::open().await;
        let post = Arc::new(Post {
            way,
            wakeups: Wakeups::local(),
            dice: Mutex::new(fastrand::Rng::with_seed(SEED)),
        });
        let trip: Arc<dyn Saga> = Arc::new(Trip::new(Arc::clone(&desk.agency)));
        let options = Options {
            begins: Begins::Only(&["deposit"]),
            dispatch: Some(Arc::clone(&post) as Arc<dyn Dispatch>),
            ..Options::default()
        };
        let front = Engine::new(desk.store.clone(), vec![trip], options).unwrap();
        let (back, wakeups) = (desk.engine.clone(), post.wakeups.clone());
        tokio::spawn(attendant::attend(
            back,
            wakeups,
            64,
            CancellationToken::new(),
        ));
        Self { desk, front, post }
    }

    /// With what a failure is to be had again.
    fn circumstances(&self) -> String {
        format!("{:?}, seed {SEED}", self.post.way)
    }

    async fn start(&self) -> (Uuid, Running) {
        let id = Uuid::now_v7();
        let started = self.front.start("trip", id, Value::Null, Vec::new()).await;
        (id, started.expect("it starts"))
    }

    /// Everything booked once, as seen from the front.
    async fn booked(&self, id: Uuid, running: &mut Running) {
        let booked =
            running.wait_for(|now| now.state.step("board").is_some() && now.state.is_done("mail"));
        let how = self.circumstances();
        let booked = tokio::time::timeout(STUCK, booked).await;
        let booked = booked.unwrap_or_else(|_| panic!("it is not booked: {how}"));
        assert!(booked.is_some(), "{how}");
        let dossier = self.desk.agency.dossier(id);
        for effect in ["deposit", "hotel", "seat", "flight", "mail"] {
            assert_eq!(dossier.count(effect), 1, "{effect}: {how}");
        }
    }

    /// Asked for at the front, undone at the back.
    async fn canceled(&self, id: Uuid) {
        self.front
            .cancel(id, &request())
            .await
            .expect("it is asked for");
        let mut running = self.front.follow(id).await.expect("it is there");
        let rest = running.wait_for(|now| now.state.is_finished());
        let how = self.circumstances();
        let rest = tokio::time::timeout(STUCK, rest).await;
        let rest = rest.unwrap_or_else(|_| panic!("it does not rest: {how}"));
        let phase = rest.expect("it is for this build").state.phase;
        assert_eq!(phase, Phase::Unwound, "{how}");
        let dossier = self.desk.agency.dossier(id);
        for (effect, undone_by) in [("deposit", "refund"), ("hotel", "cancel-hotel")] {
            assert!(!dossier.held(effect, undone_by), "{effect}: {how}");
            assert_eq!(dossier.count(undone_by), 1, "{undone_by}: {how}");
        }
    }
}

async fn there_and_back(way: Way) {
    let offices = Offices::open(way).await;
    let (id, mut running) = offices.start().await;
    offices.booked(id, &mut running).await;
    drop(running);
    offices.canceled(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_does_not_begin_another_does_and_it_is_followed_here() {
    there_and_back(Way::Plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wakeup_that_comes_twice_changes_no_outcome() {
    there_and_back(Way::Twice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wakeups_that_come_late_and_in_another_order_change_no_outcome() {
    let offices = Offices::open(Way::Late).await;
    let (first, mut running_first) = offices.start().await;
    let (second, mut running_second) = offices.start().await;
    offices.booked(first, &mut running_first).await;
    offices.booked(second, &mut running_second).await;
    drop((running_first, running_second));
    tokio::join!(offices.canceled(first), offices.canceled(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wakeup_that_is_lost_changes_no_outcome() {
    let offices = Offices::open(Way::Lost).await;
    let (store, back) = (&offices.desk.store, &offices.desk.engine);
    let index = Arc::new(LogIndex::new(store.clone(), Position::ZERO));
    let pace = Pace {
        every: Duration::from_millis(20),
        grace: Duration::ZERO,
        again_after: Duration::from_millis(100),
        ..Pace::default()
    };
    let stop = CancellationToken::new();
    let sweeper = Sweeper::new(store.clone(), back.clone(), index, pace);
    let sweeping = tokio::spawn(sweeper.run(stop.clone()));
    let (id, mut running) = offices.start().await;
    offices.booked(id, &mut running).await;
    drop(running);
    offices.canceled(id).await;
    stop.cancel();
    sweeping.await.expect("no panic");
}

/// An engine of the build before, which knows the first version only, on the log of an agency that books by the second.
async fn old_and_new() -> (Desk, Engine, Engine) {
    let desk = Desk::open().await;
    let old = Desk::engine(&desk.store, &desk.agency);
    let both: Vec<Arc<dyn Saga>> = vec![
        Arc::new(Trip::new(Arc::clone(&desk.agency))),
        Arc::new(Trip::second(Arc::clone(&desk.agency))),
    ];
    let new = Engine::new(desk.store.clone(), both, Options::default()).unwrap();
    (desk, old, new)
}

/// A trip by the second version that nobody works on.
async fn left_lying(desk: &Desk) -> Uuid {
    let second: Arc<dyn Saga> = Arc::new(Trip::second(Arc::clone(&desk.agency)));
    let options = Options {
        begins: Begins::Only(&[]),
        ..Options::default()
    };
    let front = Engine::new(desk.store.clone(), vec![second], options).unwrap();
    let id = Uuid::now_v7();
    let started = front.start("trip", id, Value::Null, Vec::new()).await;
    drop(started.expect("it starts"));
    front.halt();
    id
}

async fn left_alone(engine: &Engine) {
    until("what it does not understand", STUCK, async || {
        (engine.left_alone() > 0).then_some(())
    })
    .await;
}

/// Booked once, by an engine that can.
async fn booked_by(desk: &Desk, new: &Engine, id: Uuid) {
    let agency = Arc::clone(&desk.agency);
    until("everything is booked", STUCK, async || {
        (agency.dossier(id).count("mail") > 0).then_some(())
    })
    .await;
    let mut running = new.follow(id).await.expect("it is there");
    let booked = running.wait_for(|now| now.state.step("board").is_some());
    let booked = tokio::time::timeout(STUCK, booked).await;
    assert!(booked.expect("it is booked").is_some());
    for effect in ["insurance", "deposit", "hotel", "seat", "flight", "mail"] {
        assert_eq!(desk.agency.dossier(id).count(effect), 1, "{effect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wakeup_that_comes_to_a_build_that_does_not_know_the_saga_is_left_to_one_that_does() {
    let (desk, old, new) = old_and_new().await;
    let wakeups = Wakeups::local();
    let attend = |engine: &Engine| {
        let (engine, wakeups) = (engine.clone(), wakeups.clone());
        tokio::spawn(attendant::attend(
            engine,
            wakeups,
            4,
            CancellationToken::new(),
        ))
    };
    attend(&old);
    let id = left_lying(&desk).await;
    // Once, and nobody sweeps.
    assert!(wakeups.publish(Wakeup::of(id)));
    left_alone(&old).await;
    attend(&new);
    booked_by(&desk, &new, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweeper_that_does_not_know_a_saga_lets_one_that_does_have_its_turn() {
    let (desk, old, new) = old_and_new().await;
    let index = Arc::new(LogIndex::new(desk.store.clone(), Position::ZERO));
    let pace = Pace {
        every: Duration::from_millis(20),
        grace: Duration::ZERO,
        again_after: Duration::from_millis(100),
        ..Pace::default()
    };
    let stop = CancellationToken::new();
    let sweep = |engine: &Engine| {
        let index = Arc::clone(&index) as Arc<dyn SagaIndex>;
        let sweeper = Sweeper::new(desk.store.clone(), engine.clone(), index, pace);
        tokio::spawn(sweeper.run(stop.clone()))
    };
    let id = left_lying(&desk).await;
    let first = sweep(&old);
    left_alone(&old).await;
    let second = sweep(&new);
    booked_by(&desk, &new, id).await;
    stop.cancel();
    first.await.expect("no panic");
    second.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_begins_nothing_asks_for_nothing_twice() {
    let offices = Offices::open(Way::Plain).await;
    let (id, mut running) = offices.start().await;
    offices.booked(id, &mut running).await;
    // Whoever waited may leave long after the last news: the task that was there for them ends all the same.
    until("the front has nothing left to say", STUCK, async || {
        (!offices.desk.engine.is_live(id)).then_some(())
    })
    .await;
    drop(running);
    // All that is left waits for somebody else; nobody at the front sets a timer for it.
    let quiet = async {
        while offices.front.is_live(id) || offices.desk.engine.is_live(id) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(STUCK, quiet).await.expect("it rests");
    offices.front.wake(id);
    assert!(
        !offices.front.is_live(id),
        "the other office is told instead"
    );
    assert_eq!(offices.post.way, Way::Plain);
}
