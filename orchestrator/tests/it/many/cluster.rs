//! A broker of three servers that keep everything three times, of which one after another is killed while the shop takes orders.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use eventstore::testing::TestDatabase;
use orchestrator::bus::jetstream::STREAM as WAKEUPS;
use orchestrator::bus::relay::message::STREAM as EVENTS;
use rustix::process::Signal;

use super::crew::{
    Crew, NOBODY_IS_AWAY, all_told, at_most_once, effects, lost, more_than_once, setup,
};
use super::losses::{Count, everybody, goes_on};
use crate::broker::cluster::Cluster;
use crate::broker::nats::Release;
use crate::broker::published::Published;
use crate::soak::{self, size};
use crate::storm::judged;

/// The one that leads the events, and one that does not.
const KILLS_MIN: usize = 2;

/// Told to the processes that make the streams, and to no other.
const COPIES: &str = "--events-replicas";

/// A crew of which every process knows all three servers.
async fn on_three(release: Release) -> Crew<Cluster> {
    let (cluster, database) = (Cluster::start(release), TestDatabase::create());
    let (to_log, to_broker) = (database.url(), cluster.url());
    let setup = setup().shop(&NOBODY_IS_AWAY).shop(&[COPIES, "3"]);
    let mut crew = Crew::behind(cluster, database, to_log, to_broker, setup).await;
    crew.hire("relay").await;
    let published = Published::at(crew.database.url(), &crew.nats.url()).await;
    for stream in [WAKEUPS, EVENTS] {
        Cluster::kept_by_all(&published.client, stream).await;
    }
    let mut first = crew.members.remove(0).process;
    first.signal(Signal::TERM);
    assert_eq!(first.ended().await, Some(0), "{}", first.lines());
    crew.gives_no_longer(COPIES);
    for roles in ["api", "worker", "worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    crew
}

/// One server after another is killed, until there were so many orders; how often. Each is back, and has what it missed, before the next
/// one goes: two of three are always there.
async fn killed_in_turn(crew: &mut Crew<Cluster>, count: &Count, orders: usize) -> usize {
    let published = Published::at(crew.database.url(), &crew.nats.url()).await;
    let client = &published.client;
    Cluster::kept_by_all(client, WAKEUPS).await;
    let (leader, mut kills) = (Cluster::kept_by_all(client, EVENTS).await, 0);
    count.calm().await;
    while kills < KILLS_MIN || count.orders.load(Ordering::Relaxed) < orders {
        let victim = (leader + kills) % crew.nats.servers.len();
        goes_on(count).await;
        crew.nats.servers[victim].kill();
        goes_on(count).await;
        // What has happened since is published by way of the other two.
        published.caught_up().await;
        crew.nats.servers[victim].launch();
        Cluster::kept_by_all(client, WAKEUPS).await;
        Cluster::kept_by_all(client, EVENTS).await;
        kills += 1;
    }
    goes_on(count).await;
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_on_three_brokers_that_loses_one_after_another_loses_and_doubles_nothing() {
    for release in soak::brokers(Release::New) {
        one_after_another(release).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn one_after_another(release: Release) {
    let mut crew = on_three(release).await;
    let count = Arc::<Count>::default();
    let everybody = everybody(crew.doors(), &count);
    let kills = killed_in_turn(&mut crew, &count, size(2000)).await;
    count.over.store(true, Ordering::Relaxed);
    let replies = everybody.await.expect("everybody went home");
    let orders = replies.len();
    all_told(&crew, orders).await;
    // No process of the shop was killed or frozen, so that not even a message may have gone twice.
    let evidence = judged(&crew.town, replies).await;
    let stream = crew.published().await;
    let refused = count.refused();
    let slowest = count.slowest();
    println!(
        "figure: cluster-killed broker={release} servers={} kills={kills} orders={orders} refused={} slowest-answer={}ms \
         lost={} double={} unkeyed-double={} stream-events={} stream-missing={} stream-double={}",
        crew.nats.servers.len(),
        refused.len(),
        slowest.as_millis(),
        lost(orders, &evidence.ledger),
        at_most_once(&evidence.ledger),
        more_than_once(&evidence.ledger, "send"),
        stream.events,
        stream.missing,
        stream.double,
    );
    assert!(refused.is_empty(), "such as {:?}", refused[0]);
    assert_eq!(at_most_once(&evidence.ledger), 0);
    assert_eq!(more_than_once(&evidence.ledger, "send"), 0);
    for op in ["charge", "ship", "send"] {
        assert_eq!(effects(&evidence.ledger, op).len(), orders, "{op}");
    }
    assert!(slowest < count.bound(), "{slowest:?}");
}
