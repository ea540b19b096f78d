//! The carriers that keep the contract.

use std::time::Duration;

use orchestrator::bus::connection::Broker;
use orchestrator::bus::wakeups::{Delivery, Limits, Wakeups};
use orchestrator::saga::dispatch::Wakeup;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::broker::nats::{NatsServer, Release};
use crate::broker::{PATIENCE, connect};
use crate::town::{STUCK, until};

/// How long a delivery may be silent in these tests: long enough that a busy machine beats in time, short enough to wait for.
pub(super) const ACK_WAIT: Duration = Duration::from_millis(1500);

/// Deliveries before a wake-up is dropped in these tests.
pub(super) const MAX_DELIVER: u32 = 3;

pub(super) const LIMITS: Limits = Limits {
    ack_wait: ACK_WAIT,
    max_deliver: MAX_DELIVER,
};

/// A queue as two processes see it.
pub(super) struct Queue {
    pub(super) here: Wakeups,
    pub(super) there: Wakeups,
}

/// Runs a test against a fresh queue of each carrier.
pub(super) async fn on_each_carrier(test: impl AsyncFn(&Queue)) {
    test(&local()).await;
    for release in Release::EACH {
        let nats = NatsServer::start(release);
        test(&remote(&nats).await).await;
    }
}

/// Two processes with a connection each.
async fn remote(nats: &NatsServer) -> Queue {
    let end = async || usable(connected(&nats.url()).await).await;
    Queue {
        here: end().await,
        there: end().await,
    }
}

/// A queue that takes what is published; before, it refuses.
pub(super) async fn usable(broker: Broker) -> Wakeups {
    let wakeups = Wakeups::jetstream(broker, None, LIMITS);
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

/// Publishes until one arrives: what is sent into an outage may be lost.
pub(crate) async fn carries(from: &Wakeups, to: &Wakeups) {
    let deadline = Instant::now() + STUCK;
    loop {
        let wakeup = Wakeup::of(Uuid::now_v7());
        from.publish(wakeup.clone());
        let pulled: Vec<Delivery> = timeout(Duration::from_secs(2), to.pull(10))
            .await
            .unwrap_or_default();
        let mut arrived = false;
        for delivery in pulled {
            arrived |= delivery.wakeup == wakeup;
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
fn local() -> Queue {
    let here = Wakeups::local_with(LIMITS);
    let there = here.clone();
    Queue { here, there }
}
