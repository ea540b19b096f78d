//! The carriers that keep the contract.

use std::collections::HashSet;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use orchestrator::bus::connection::Broker;
use orchestrator::bus::wakeups::{Delivery, Limits, Wakeups};
use orchestrator::saga::dispatch::Wakeup;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::broker::nats::{NatsServer, Release};
use crate::broker::{PATIENCE, connect, on_each_release};
use crate::town::{STUCK, until};

/// How long a delivery may be silent in these tests: long enough that a busy machine beats in time, short enough to wait for.
pub(super) const ACK_WAIT: Duration = Duration::from_millis(1500);

/// Deliveries before a wake-up is dropped in these tests.
pub(super) const MAX_DELIVER: u32 = 3;

pub(super) const LIMITS: Limits = Limits {
    ack_wait: ACK_WAIT,
    max_deliver: MAX_DELIVER,
};

/// Of a queue that soon gives up what nobody says a word about.
pub(crate) const FEW: Limits = Limits {
    ack_wait: Duration::from_millis(200),
    max_deliver: 2,
};

/// A queue as two processes see it.
pub(crate) struct Queue {
    pub(crate) here: Wakeups,
    pub(crate) there: Wakeups,
}

/// Runs a test against a fresh queue of each carrier, at once: most of it is waiting.
pub(super) async fn on_each_carrier(test: impl AsyncFn(&Queue)) {
    let here = local(LIMITS);
    let remotely = on_each_release(async |release| {
        let nats = NatsServer::start(release);
        test(&remote(&nats, LIMITS).await).await;
    });
    tokio::join!(Box::pin(test(&here)), remotely);
}

/// The same with limits of its own, and each with its own counts of what happens to it.
pub(crate) fn on_each_carrier_within(
    limits: Limits,
    test: impl AsyncFn(&Queue, &PrometheusHandle) + Sync,
) {
    std::thread::scope(|scope| {
        scope.spawn(|| counted(async |counts| test(&local(limits), counts).await));
        for release in Release::EACH {
            let test = &test;
            scope.spawn(move || {
                counted(async |counts| {
                    let nats = NatsServer::start(release);
                    test(&remote(&nats, limits).await, counts).await;
                });
            });
        }
    });
}

/// Runs all of a test on this thread, so that everything is counted by the recorder of this test.
fn counted(test: impl AsyncFnOnce(&PrometheusHandle)) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counts = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(test(&counts));
}

/// Two processes with a connection each.
async fn remote(nats: &NatsServer, limits: Limits) -> Queue {
    let end = async || usable_within(connected(&nats.url()).await, limits).await;
    Queue {
        here: end().await,
        there: end().await,
    }
}

/// A queue that takes what is published; before, it refuses.
pub(super) async fn usable(broker: Broker) -> Wakeups {
    usable_within(broker, LIMITS).await
}

async fn usable_within(broker: Broker, limits: Limits) -> Wakeups {
    let wakeups = Wakeups::jetstream(broker, None, limits);
    takes(&wakeups).await;
    wakeups
}

/// Waits until the queue takes what is published.
pub(crate) async fn takes(wakeups: &Wakeups) {
    let standing = wakeups.standing().expect("a broker's");
    until("a queue that is set up", PATIENCE, async || {
        standing.report().usable.then_some(())
    })
    .await;
}

pub(crate) async fn connected(url: &str) -> Broker {
    let broker = connect(url).await;
    until("a connection", PATIENCE, async || {
        broker.is_connected().then_some(())
    })
    .await;
    broker
}

/// Between two wake-ups of which one has to arrive.
const AGAIN: Duration = Duration::from_millis(250);

/// Publishes until one arrives: what is sent into an outage may be lost.
pub(crate) async fn carries(from: &Wakeups, to: &Wakeups) {
    let deadline = Instant::now() + STUCK;
    let mut sent = HashSet::new();
    loop {
        let wakeup = Wakeup::of(Uuid::now_v7());
        from.publish(wakeup.clone());
        sent.insert(wakeup);
        let pulled: Vec<Delivery> = timeout(AGAIN, to.pull(10)).await.unwrap_or_default();
        let mut arrived = false;
        for delivery in pulled {
            arrived |= sent.contains(&delivery.wakeup);
            delivery.ack().await;
        }
        if arrived {
            return;
        }
        let told = || (from.standing(), to.standing());
        assert!(
            Instant::now() < deadline,
            "nothing arrives any more: {:?}",
            told()
        );
    }
}

/// Within one process both ends are the same queue.
fn local(limits: Limits) -> Queue {
    let here = Wakeups::local_with(limits);
    let there = here.clone();
    Queue { here, there }
}

/// Whoever has the one wake-up says nothing, as one that has died, until it has been delivered too often.
pub(crate) async fn nobody_finishes(wakeups: &Wakeups, limits: Limits) {
    for attempt in 1..=limits.max_deliver {
        let pulled = timeout(STUCK, wakeups.pull(1)).await;
        let pulled = pulled.expect("a delivery");
        assert_eq!(pulled[0].attempt, attempt);
    }
}

/// Wake-ups that were dropped so far.
pub(crate) fn dropped(counts: &PrometheusHandle) -> u64 {
    let text = counts.render();
    let line = text
        .lines()
        .find(|line| line.starts_with("bookmarket_wakeups_total") && line.contains("\"dropped\""));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}
