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
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::agency::{Agency, Dossier};
use super::desk::{Desk, request};
use super::trip::Trip;
use crate::broker::nats::{NatsServer, Release};
use crate::soak;
use crate::town::{STUCK, until};
use crate::wakeups::{connected, takes};

/// The longest that a wake-up is on its way that others may overtake.
const LATEST: Duration = Duration::from_millis(200);

/// What its times are drawn from, in the order in which they are sent.
const SEED: u64 = 7;

/// The longest that one is held back until its trip has gone on without it, and between two looks whether it has.
const HELD_BACK: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// What is booked for each trip, and by what it is undone where it has to be.
const BOOKED: [&str; 5] = ["deposit", "hotel", "seat", "flight", "mail"];
const UNDONE: [(&str, &str); 4] = [
    ("deposit", "refund"),
    ("hotel", "cancel-hotel"),
    ("seat", "free-seat"),
    ("flight", "cancel-flight"),
];

/// What happens to wake-ups on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Twice,
    /// Each comes when its trip has gone on without it, because a sweeper found it.
    Late,
    /// Each is on its way for a time of its own, so that they overtake each other.
    Reordered,
    /// All of them come to somebody who says that they are done with, and does nothing.
    Lost,
}

/// The way between the offices.
struct Post {
    way: Way,
    wakeups: Wakeups,
    agency: Arc<Agency>,
    dice: Mutex<fastrand::Rng>,
    posted: AtomicUsize,
    /// Of those that may be overtaken and were handed over, the one that was posted last.
    newest: Arc<Mutex<usize>>,
    /// Wake-ups to which happened what happens on this way.
    befell: Arc<AtomicUsize>,
}

impl Dispatch for Post {
    fn dispatch(&self, wakeup: Wakeup) -> bool {
        match self.way {
            Way::Plain | Way::Lost => self.wakeups.publish(wakeup),
            Way::Twice => {
                let both = self.wakeups.publish(wakeup.clone()) && self.wakeups.publish(wakeup);
                self.befell.fetch_add(usize::from(both), Ordering::Relaxed);
                both
            }
            Way::Late => {
                self.hold_back(wakeup);
                true
            }
            Way::Reordered => {
                self.let_overtake(wakeup);
                true
            }
        }
    }
}

impl Post {
    /// Hands it over when its trip has gone on without it. What waits for something else goes in the end.
    fn hold_back(&self, wakeup: Wakeup) {
        let (wakeups, befell) = (self.wakeups.clone(), Arc::clone(&self.befell));
        let agency = Arc::clone(&self.agency);
        let then = effects(&agency, wakeup.saga);
        tokio::spawn(async move {
            let goes_on = async {
                while effects(&agency, wakeup.saga) == then {
                    sleep(LOOK).await;
                }
            };
            let late = timeout(HELD_BACK, goes_on).await.is_ok();
            let taken = wakeups.publish(wakeup);
            befell.fetch_add(usize::from(late && taken), Ordering::Relaxed);
        });
    }

    /// Hands it over after a time of its own. Overtaken is one that comes after another that was posted later.
    fn let_overtake(&self, wakeup: Wakeup) {
        let (wakeups, befell) = (self.wakeups.clone(), Arc::clone(&self.befell));
        let newest = Arc::clone(&self.newest);
        let nth = self.posted.fetch_add(1, Ordering::Relaxed);
        let on_its_way = LATEST.mul_f64(self.dice.lock().expect("not poisoned").f64());
        tokio::spawn(async move {
            sleep(on_its_way).await;
            // Held until it is handed over, so that the order is that of the queue.
            let mut newest = newest.lock().expect("not poisoned");
            if wakeups.publish(wakeup) {
                befell.fetch_add(usize::from(nth < *newest), Ordering::Relaxed);
                *newest = nth.max(*newest);
            }
        });
    }
}

/// What was done for a trip so far.
fn effects(agency: &Agency, trip: Uuid) -> u32 {
    agency.dossier(trip).effects.values().sum()
}

/// Takes every wake-up, says that it is done with, and does nothing. Counts them.
async fn lose(wakeups: Wakeups, befell: Arc<AtomicUsize>) {
    loop {
        for delivery in wakeups.pull(16).await {
            delivery.ack().await;
            befell.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Engines on one log.
struct Offices {
    desk: Desk,
    /// Takes deposits.
    front: Engine,
    post: Arc<Post>,
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
        let befell = Arc::<AtomicUsize>::default();
        let post = Arc::new(Post {
            way,
            wakeups,
            agency: Arc::clone(&desk.agency),
            dice: Mutex::new(fastrand::Rng::with_seed(SEED)),
            posted: AtomicUsize::new(0),
            newest: Arc::default(),
            befell: Arc::clone(&befell),
        });
        let trip: Arc<dyn Saga> = Arc::new(Trip::new(Arc::clone(&desk.agency)));
        let options = Options {
            begins: Begins::Only(&["deposit"]),
            dispatch: Some(Arc::clone(&post) as Arc<dyn Dispatch>),
            ..Options::default()
        };
        let front = Engine::new(desk.store.clone(), vec![trip], options).unwrap();
        let stop = CancellationToken::new();
        for (nth, end) in back.into_iter().enumerate() {
            let engine = match nth {
                0 => desk.engine.clone(),
                _ => Desk::engine(&desk.store, &desk.agency),
            };
            // Somebody has to find what nobody is told of in time.
            if matches!(way, Way::Late | Way::Lost) {
                desk.sweep(&engine, stop.clone());
            }
            if way == Way::Lost {
                tokio::spawn(
                    stop.clone()
                        .run_until_cancelled_owned(lose(end, Arc::clone(&befell))),
                );
            } else {
                tokio::spawn(attendant::attend(engine, end, 64, stop.clone()));
            }
        }
        Self {
            desk,
            front,
            post,
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
        let booked = timeout(STUCK, booked).await;
        let booked = booked.unwrap_or_else(|_| panic!("it is not booked: {how}"));
        assert!(booked.is_some(), "{how}");
        let dossier = self.desk.agency.dossier(id);
        for effect in BOOKED {
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
        let rest = timeout(STUCK, rest).await;
        let rest = rest.unwrap_or_else(|_| panic!("it does not rest: {how}"));
        let phase = rest.expect("it is for this build").state.phase;
        assert_eq!(phase, Phase::Unwound, "{how}");
    }

    /// Booked and called off again.
    async fn there_and_back(&self) -> Uuid {
        let (id, mut running) = self.start().await;
        self.booked(id, &mut running).await;
        drop(running);
        self.canceled(id).await;
        id
    }

    /// Effects beyond the first of their kind, and trips of which something was never done or never undone.
    fn tally(&self, trips: &[Uuid]) -> (u32, usize) {
        let dossiers = trips.iter().map(|id| self.desk.agency.dossier(*id));
        let dossiers: Vec<_> = dossiers.collect();
        let counts = dossiers.iter().flat_map(|it| it.effects.values());
        let twice = counts.map(|count| count.saturating_sub(1)).sum();
        let is_lost = |it: &&Dossier| {
            let missing = BOOKED.iter().any(|effect| it.count(effect) == 0);
            missing || UNDONE.iter().any(|(effect, undo)| it.held(effect, undo))
        };
        (twice, dossiers.iter().filter(is_lost).count())
    }
}

/// Trips are booked and called off, several at a time, on each way that there is between offices.
#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn there_and_back(way: Way) {
    let at_once = soak::size(100);
    let (mut trips, mut befell, mut twice, mut lost) = (0, 0, 0, 0);
    for offices in Offices::each(way).await {
        let all = (0..at_once).map(|_| offices.there_and_back());
        let all = futures_util::future::join_all(all).await;
        let happened = offices.post.befell.load(Ordering::Relaxed);
        let how = offices.circumstances();
        assert_eq!(happened > 0, way != Way::Plain, "{how}");
        let (doubles, losses) = offices.tally(&all);
        trips += all.len();
        befell += happened;
        twice += doubles;
        lost += losses;
    }
    let kind = format!("{way:?}").to_lowercase();
    println!(
        "figure: wakeups kind={kind} trips={trips} befell={befell} effects-twice={twice} lost={lost}"
    );
    assert_eq!((twice, lost), (0, 0), "seed {SEED}");
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
async fn a_wakeup_that_comes_when_its_saga_has_gone_on_without_it_changes_no_outcome() {
    there_and_back(Way::Late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wakeups_that_overtake_each_other_change_no_outcome() {
    there_and_back(Way::Reordered).await;
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
    timeout(STUCK, quiet).await.expect("it rests");
    offices.front.wake(id);
    assert!(
        !offices.front.is_live(id),
        "the other office is told instead"
    );
    assert_eq!(offices.post.way, Way::Plain);
}
