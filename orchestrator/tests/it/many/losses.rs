//! A broker that is away, killed, wiped and put back while the shop takes orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use super::crew::{Crew, all_told, at_most_once, effects, more_than_once, setup};
use crate::broker::nats::{NatsServer, Release};
use crate::checker::{Asked, Reply};
use crate::soak::{self, size};
use crate::storm::{MENDED, crowd, judged};
use crate::town::{Customers, order, reply, until};

/// What a broker that is put back has forgotten.
const OLD: Duration = Duration::from_secs(30);

/// Customers who order one after another.
const CUSTOMERS: usize = 8;

/// No customer waits longer for an answer than the payment provider and a busy machine make it, whatever the broker does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Count {
    orders: AtomicUsize,
    refused: AtomicUsize,
    slowest_ms: AtomicUsize,
    over: AtomicBool,
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
        match answer.filter(|answer| answer.status == 201) {
            Some(answer) => {
                count.orders.fetch_add(1, Ordering::Relaxed);
                replies.push(reply(&answer.order(), Asked::Place, &answer));
            }
            None => {
                count.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    replies
}

/// Waits until there has been so much more business, which there is whatever the broker does.
async fn business(count: &Count) {
    let before = count.orders.load(Ordering::Relaxed);
    until("business goes on", MENDED, async || {
        (count.orders.load(Ordering::Relaxed) >= before + CUSTOMERS).then_some(())
    })
    .await;
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_wiped_and_put_back_again_and_again_loses_and_doubles_nothing() {
    for release in Release::EACH {
        let mut crew = Crew::open(NatsServer::start(release), setup()).await;
        for roles in ["api", "worker", "worker", "projector", "relay", "relay"] {
            crew.hire(roles).await;
        }
        let (count, doors) = (Arc::<Count>::default(), crew.doors());
        let everybody = tokio::spawn({
            let count = Arc::clone(&count);
            let all = crowd(CUSTOMERS, move |nth| {
                customer(doors.clone(), nth, Arc::clone(&count))
            });
            all.concat()
        });
        let (kills, wipes, restores) = (size(20), size(10) / 2, size(10) / 2);
        let (wipes, restores) = (wipes.max(1), restores.max(1));
        let old = if soak::is_on() { OLD } else { OLD / 10 };
        for _ in 0..kills {
            business(&count).await;
            crew.nats.kill();
            business(&count).await;
            crew.nats.launch();
        }
        for _ in 0..wipes {
            business(&count).await;
            crew.nats.wipe();
        }
        for _ in 0..restores {
            business(&count).await;
            let copy = crew.nats.backup();
            let since = Instant::now();
            while since.elapsed() < old {
                business(&count).await;
            }
            crew.nats.restore(&copy);
        }
        business(&count).await;
        count.over.store(true, Ordering::Relaxed);
        let replies = everybody.await.expect("everybody went home");
        let orders = replies.len();
        all_told(&crew, orders).await;
        // No process was killed or frozen, so that not even a message may have gone twice.
        let evidence = judged(&crew.town, replies).await;
        let stream = crew.published().await;
        let refused = count.refused.load(Ordering::Relaxed);
        let slowest = count.slowest_ms.load(Ordering::Relaxed);
        println!(
            "figure: broker-lost broker={release:?} kills={kills} wipes={wipes} put-back={restores} old={old:?} orders={orders} \
             refused={refused} slowest-answer={slowest}ms double={} unkeyed-double={} stream-events={} stream-missing={} \
             stream-double={}",
            at_most_once(&evidence.ledger),
            more_than_once(&evidence.ledger, "send"),
            stream.events,
            stream.missing,
            stream.double,
        );
        assert_eq!(refused, 0);
        assert_eq!(at_most_once(&evidence.ledger), 0);
        assert_eq!(more_than_once(&evidence.ledger, "send"), 0);
        for op in ["charge", "ship"] {
            assert_eq!(effects(&evidence.ledger, op).len(), orders, "{op}");
        }
        assert!(Duration::from_millis(slowest as u64) < ANSWERED_WITHIN);
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_the_whole_time_keeps_no_order_from_being_paid_and_shipped() {
    let nats = NatsServer::stopped(Release::New);
    let mut crew = Crew::open(nats, setup()).await;
    for roles in ["api", "worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    let orders = size(1000);
    let doors = Arc::<[Customers]>::from(crew.doors());
    let placing = crowd(orders, move |nth| {
        let doors = Arc::clone(&doors);
        async move {
            let door = &doors[nth % doors.len()];
            let answer = door
                .place(&nth.to_string(), &order("ok"))
                .await
                .expect("an answer");
            assert_eq!(answer.status, 201, "{answer:?}");
            vec![reply(&answer.order(), Asked::Place, &answer)]
        }
    });
    let replies = placing.concat().await;
    crew.nats.launch();
    all_told(&crew, orders).await;
    let evidence = judged(&crew.town, replies).await;
    let (paid, shipped) = (
        effects(&evidence.ledger, "charge"),
        effects(&evidence.ledger, "ship"),
    );
    let stream = crew.published().await;
    println!(
        "figure: broker-away orders={orders} accepted={orders} paid={} shipped={} double={} unkeyed-double={} stream-events={} stream-missing={}",
        paid.len(),
        shipped.len(),
        at_most_once(&evidence.ledger),
        more_than_once(&evidence.ledger, "send"),
        stream.events,
        stream.missing,
    );
    assert_eq!((paid.len(), shipped.len()), (orders, orders));
    assert_eq!(at_most_once(&evidence.ledger), 0);
    assert_eq!(more_than_once(&evidence.ledger, "send"), 0);
}
