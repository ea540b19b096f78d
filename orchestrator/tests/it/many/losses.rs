//! A broker that is away, killed, wiped and put back while the shop takes orders.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, future};
use tokio::task::JoinHandle;

use super::crew::{
    ANSWERED_WITHIN, Crew, NOBODY_IS_AWAY, all_told, at_most_once, business, effects,
    more_than_once, setup,
};
use crate::broker::nats::{NatsServer, Release};
use crate::checker::{Asked, Reply};
use crate::soak::{self, length, size};
use crate::storm::{crowd, judged};
use crate::town::{Answer, Customers, STUCK, order, reply};

/// What a broker that is put back has forgotten.
const OLD: Duration = Duration::from_secs(30);

/// Customers who order one after another.
const CUSTOMERS: usize = 8;

/// How often there is some business before anything goes wrong, so that it is known how long answers take.
const CALM: usize = 3;

#[derive(Default)]
pub(super) struct Count {
    pub(super) orders: AtomicUsize,
    /// What was heard instead of having paid, if anything.
    pub(super) refused: Mutex<Vec<Option<Answer>>>,
    slowest_ms: AtomicUsize,
    /// The same of all answers before anything went wrong.
    calm_ms: AtomicUsize,
    pub(super) over: AtomicBool,
}

impl Count {
    pub(super) fn refused(&self) -> Vec<Option<Answer>> {
        mem::take(&mut *self.refused.lock().expect("nobody panicked"))
    }

    pub(super) fn slowest(&self) -> Duration {
        millis(&self.slowest_ms)
    }

    /// Waits while nothing goes wrong yet, and notes how long answers take then.
    pub(super) async fn calm(&self) {
        for _ in 0..CALM {
            business(&self.orders, CUSTOMERS, STUCK).await;
        }
        let slowest = self.slowest_ms.load(Ordering::Relaxed);
        self.calm_ms.store(slowest, Ordering::Relaxed);
    }

    /// What no answer takes. Beside other tests some take long whatever the broker does: what it does comes on top of that.
    pub(super) fn bound(&self) -> Duration {
        let calm = if soak::is_on() {
            Duration::ZERO
        } else {
            millis(&self.calm_ms)
        };
        calm + ANSWERED_WITHIN
    }
}

fn millis(count: &AtomicUsize) -> Duration {
    Duration::from_millis(count.load(Ordering::Relaxed) as u64)
}

/// How often it is killed, wiped, and put back, and how old it is then.
struct Losses {
    kills: usize,
    wipes: usize,
    restores: usize,
    old: Duration,
}

impl Losses {
    fn wanted() -> Self {
        Self {
            kills: size(20),
            wipes: (size(10) / 2).max(1),
            restores: (size(10) / 2).max(1),
            old: length(OLD),
        }
    }
}

/// Orders again and again, and expects each time to have paid at once.
async fn customer(doors: Vec<Customers>, nth: usize, count: Arc<Count>) -> Vec<Reply> {
    let mut replies = Vec::new();
    for round in 0.. {
        if count.over.load(Ordering::Relaxed) {
            break;
        }
        let (door, asked) = (&doors[(nth + round) % doors.len()], Instant::now());
        let answer = door.place(&format!("{nth}-{round}"), &order("ok")).await;
        let took = usize::try_from(asked.elapsed().as_millis()).expect("not for ever");
        count.slowest_ms.fetch_max(took, Ordering::Relaxed);
        match answer {
            Some(answer) if answer.status == 201 => {
                count.orders.fetch_add(1, Ordering::Relaxed);
                replies.push(reply(&answer.order(), Asked::Place, &answer));
            }
            other => count.refused.lock().expect("nobody panicked").push(other),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    replies
}

/// Lets all of them come.
pub(super) fn everybody(doors: Vec<Customers>, count: &Arc<Count>) -> JoinHandle<Vec<Reply>> {
    let count = Arc::clone(count);
    let all = crowd(CUSTOMERS, move |nth| {
        customer(doors.clone(), nth, Arc::clone(&count))
    });
    tokio::spawn(all.concat())
}

/// Waits until there has been some business, which there is whatever the broker does.
pub(super) async fn goes_on(count: &Count) {
    business(&count.orders, CUSTOMERS, 2 * count.bound()).await;
}

/// What becomes of the broker: gone and back, gone and empty, gone and old. Each time there is business while it is away.
async fn lost_again_and_again(nats: &mut NatsServer, count: &Count, losses: &Losses) {
    for _ in 0..losses.kills {
        goes_on(count).await;
        nats.kill();
        goes_on(count).await;
        nats.launch();
    }
    for _ in 0..losses.wipes {
        goes_on(count).await;
        nats.kill();
        goes_on(count).await;
        nats.wipe();
        nats.launch();
    }
    for _ in 0..losses.restores {
        goes_on(count).await;
        let copy = nats.backup();
        let since = Instant::now();
        while since.elapsed() < losses.old {
            goes_on(count).await;
        }
        nats.kill();
        goes_on(count).await;
        nats.restore(&copy);
    }
    goes_on(count).await;
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_wiped_and_put_back_again_and_again_loses_and_doubles_nothing() {
    for release in soak::brokers(Release::New) {
        let setup = setup().shop(&NOBODY_IS_AWAY);
        let mut crew = Crew::open(NatsServer::start(release), setup).await;
        for roles in ["api", "worker", "worker", "projector", "relay", "relay"] {
            crew.hire(roles).await;
        }
        let count = Arc::<Count>::default();
        let everybody = everybody(crew.doors(), &count);
        let losses = Losses::wanted();
        count.calm().await;
        lost_again_and_again(&mut crew.nats, &count, &losses).await;
        count.over.store(true, Ordering::Relaxed);
        let replies = everybody.await.expect("everybody went home");
        let orders = replies.len();
        all_told(&crew, orders).await;
        // No process was killed or frozen, so that not even a message may have gone twice.
        let evidence = judged(&crew.town, replies).await;
        let stream = crew.published().await;
        let refused = count.refused();
        let slowest = count.slowest();
        println!(
            "figure: broker-lost broker={release} kills={} wipes={} put-back={} old={:?} orders={orders} \
             refused={} slowest-answer={}ms double={} unkeyed-double={} stream-events={} stream-missing={} \
             stream-double={}",
            losses.kills,
            losses.wipes,
            losses.restores,
            losses.old,
            refused.len(),
            slowest.as_millis(),
            at_most_once(&evidence.ledger),
            more_than_once(&evidence.ledger, "send"),
            stream.events,
            stream.missing,
            stream.double,
        );
        assert!(refused.is_empty(), "such as {:?}", refused[0]);
        assert_eq!(at_most_once(&evidence.ledger), 0);
        assert_eq!(more_than_once(&evidence.ledger, "send"), 0);
        for op in ["charge", "ship"] {
            assert_eq!(effects(&evidence.ledger, op).len(), orders, "{op}");
        }
        assert!(slowest < count.bound(), "{slowest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_the_whole_time_keeps_no_order_from_being_paid_and_shipped() {
    for release in soak::brokers(Release::Old) {
        away(release).await;
    }
}

/// Orders once, and is done with whatever is answered: nobody whose order was not taken asks again.
async fn passer_by(doors: Arc<[Customers]>, nth: usize) -> Option<Reply> {
    let door = &doors[nth % doors.len()];
    let answer = door.place(&nth.to_string(), &order("ok")).await?;
    let accepted = matches!(answer.status, 201 | 202);
    accepted.then(|| reply(&answer.order(), Asked::Place, &answer))
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn away(release: Release) {
    let setup = setup().shop(&NOBODY_IS_AWAY);
    let mut crew = Crew::open(NatsServer::stopped(release), setup).await;
    for roles in ["api", "worker", "worker", "worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    let orders = size(10_000);
    let doors = Arc::<[Customers]>::from(crew.doors());
    let placing = crowd(orders, move |nth| passer_by(Arc::clone(&doors), nth));
    let replies: Vec<Reply> = placing.filter_map(future::ready).collect().await;
    let accepted = replies.len();
    // Before the broker is there: nobody's money waits for it.
    let books = crew.town.ledger().await;
    let paid = effects(&books, "charge").len();
    crew.nats.launch();
    all_told(&crew, accepted).await;
    let evidence = judged(&crew.town, replies).await;
    let had = |op| effects(&evidence.ledger, op).len();
    let (shipped, notified) = (had("ship"), had("send"));
    let double = at_most_once(&evidence.ledger);
    let unkeyed_double = more_than_once(&evidence.ledger, "send");
    let stream = crew.published().await;
    println!(
        "figure: broker-away broker={release} orders={orders} accepted={accepted} paid-without-it={paid} shipped={shipped} \
         notified={notified} double={double} unkeyed-double={unkeyed_double} stream-events={} stream-missing={}",
        stream.events, stream.missing,
    );
    assert_eq!(
        [accepted, paid, shipped, notified],
        [orders; 4],
        "accepted, paid, shipped, notified"
    );
    assert_eq!(had("charge"), orders);
    assert_eq!((double, unkeyed_double), (0, 0));
}
