//! Offices of one agency: one that only takes deposits, and one that books the rest when it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::saga::Phase;
use orchestrator::bus::attendant;
use orchestrator::bus::wakeups::{Limits, Wakeups};
use orchestrator::saga::definition::Saga;
use orchestrator::saga::dispatch::{Begins, Dispatch, Wakeup};
use orchestrator::saga::engine::{Engine, Options, Running};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::desk::{Desk, request};
use super::trip::Trip;
use crate::broker::nats::{NatsServer, Release};
use crate::town::{STUCK, until};
use crate::wakeups::{connected, takes};

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
    /// All of them come to somebody who says that they are done with, and does nothing.
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
            Way::Plain | Way::Lost => self.wakeups.publish(wakeup),
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
        }
    }
}

/// Takes every wake-up, says that it is done with, and does nothing. Counts them.
async fn lose(wakeups: Wakeups, lost: Arc<AtomicUsize>) {
    loop {
        for delivery in wakeups.pull(16).await {
            delivery.ack().await;
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Engines on one log.
struct Offices {
    desk: Desk,
    /// Takes deposits.
    front: Engine,
    post: Arc<Post>,
    /// Wake-ups that came to nothing.
    lost: Arc<AtomicUsize>,
    /// With a broker between the front and the others.
    broker: Option<(Release, NatsServer)>,
    _over: DropGuard,
}

impl Offices {
    /// Two engines in one process.
    async fn open(way: Way) -> Self {
        let wakeups = Wakeups::local();
        Self::of(way, wakeups.clone(), vec![wakeups], None).await
    }

    /// Three engines with a broker between them, and a connection of each to it.
    async fn apart(way: Way, release: Release) -> Self {
        let nats = NatsServer::start(release);
        let queue = async || {
            let wakeups = Wakeups::jetstream(connected(&nats.url()).await, None, Limits::default());
            takes(&wakeups).await;
            wakeups
        };
        let (front, back) = (queue().await, vec![queue().await, queue().await]);
        Self::of(way, front, back, Some((release, nats))).await
    }

    /// Wherever there are any.
    async fn each(way: Way) -> Vec<Self> {
        let mut all = vec![Self::open(way).await];
        for release in Release::EACH {
            all.push(Self::apart(way, release).await);
        }
        all
    }

    /// One at the front, and one behind each of these ends of the queue.
    async fn of(
        way: Way,
        wakeups: Wakeups,
        back: Vec<Wakeups>,
        broker: Option<(Release, NatsServer)>,
    ) -> Self {
        let desk = Desk::open().await;
        let dice = Mutex::new(fastrand::Rng::with_seed(SEED));
        let post = Arc::new(Post { way, wakeups, dice });
        let trip: Arc<dyn Saga> = Arc::new(Trip::new(Arc::clone(&desk.agency)));
        let options = Options {
            begins: Begins::Only(&["deposit"]),
            dispatch: Some(Arc::clone(&post) as Arc<dyn Dispatch>),
            ..Options::default()
        };
        let front = Engine::new(desk.store.clone(), vec![trip], options).unwrap();
        let (lost, stop) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        for (nth, end) in back.into_iter().enumerate() {
            let engine = match nth {
                0 => desk.engine.clone(),
                _ => Desk::engine(&desk.store, &desk.agency),
            };
            if way == Way::Lost {
                tokio::spawn(
                    stop.clone()
                        .run_until_cancelled_owned(lose(end, Arc::clone(&lost))),
                );
                desk.sweep(&engine, stop.clone());
            } else {
                tokio::spawn(attendant::attend(engine, end, 64, stop.clone()));
            }
        }
        Self {
            desk,
            front,
            post,
            lost,
            broker,
            _over: stop.drop_guard(),
        }
    }

    /// With what a failure is to be had again.
    fn circumstances(&self) -> String {
        let broker = self.broker.as_ref().map(|(release, _)| release);
        format!("{:?}, seed {SEED}, broker {broker:?}", self.post.way)
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

/// Trips are booked and called off, several at a time.
async fn there_and_back(way: Way) {
    for offices in Offices::each(way).await {
        let trip = async || {
            let (id, mut running) = offices.start().await;
            offices.booked(id, &mut running).await;
            drop(running);
            offices.canceled(id).await;
        };
        tokio::join!(trip(), trip(), trip());
        let lost = offices.lost.load(Ordering::Relaxed);
        assert_eq!(lost > 0, way == Way::Lost, "{}", offices.circumstances());
    }
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
    there_and_back(Way::Late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wakeup_that_is_lost_changes_no_outcome() {
    there_and_back(Way::Lost).await;
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
