//! Three servers, everything on each of them.

use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use eventstore::testing::TestLog;
use orchestrator::bus::jetstream::{CONSUMER, STREAM as WAKEUPS};
use orchestrator::bus::relay::StreamSettings;
use orchestrator::bus::relay::message::STREAM as EVENTS;
use orchestrator::bus::wakeups::{Limits, Wakeups};

use super::world::{World, settings};
use crate::broker::cluster::Cluster;
use crate::broker::nats::Release;
use crate::broker::{PATIENCE, eventually, on_each_release};
use crate::soak;
use crate::town::until;
use crate::wakeups::{carries, connected, takes};

/// Other than where nobody says anything.
const MAX_AGE: Duration = Duration::from_secs(3600);
const MAX_BYTES: u32 = 64 * 1024 * 1024;

/// As a process is told by its flags.
fn told(replicas: usize) -> StreamSettings {
    StreamSettings {
        max_age: Some(MAX_AGE),
        max_bytes: Some(MAX_BYTES.into()),
        replicas: Some(replicas),
        ..settings()
    }
}

/// As one that has none of them.
fn untold() -> StreamSettings {
    StreamSettings {
        max_age: None,
        max_bytes: None,
        replicas: None,
        ..settings()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_a_server_and_gets_it_back_misses_nothing() {
    on_each_release(misses_nothing).await;
}

async fn misses_nothing(release: Release) {
    let mut cluster = Cluster::start(release);
    let world = World::new(TestLog::postgres(), &cluster.url()).await;
    let relay = world.relay(told(3)).await;
    world.append(500).await;
    world.caught_up().await;
    let config = world.info().await.expect("a stream").config;
    assert_eq!(config.num_replicas, 3);
    for n in 0..3 {
        cluster.servers[n].kill();
        world.append(200).await;
        world.caught_up().await;
        cluster.servers[n].launch();
        world.append(100).await;
        world.caught_up().await;
    }
    world.is_the_log().await;
    assert_eq!(relay.status.report().rewinds, 0);
    relay.stop().await;
}

/// The queue of a process with a connection of its own, set up.
async fn queue(world: &World, replicas: Option<usize>) -> Wakeups {
    let broker = connected(&world.url).await;
    let queue = Wakeups::jetstream(broker, replicas, Limits::default());
    takes(&queue).await;
    queue
}

/// A process has its turn, publishes, and leaves it to the next.
async fn has_its_turn(world: &World, settings: StreamSettings) {
    let relay = world.relay(settings).await;
    world.append(100).await;
    world.caught_up().await;
    relay.stop().await;
}

/// A stream as it is now.
async fn found(world: &World, stream: &str) -> Stream {
    until("a stream", PATIENCE, async || {
        world.client.jetstream().get_stream(stream).await.ok()
    })
    .await
}

/// Any node may be the one that lacks a flag: it must not cost the others the copies they were told to keep.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_told_how_much_is_kept_leaves_both_streams_as_they_are() {
    for release in soak::brokers(Release::New) {
        leaves_both_as_they_are(release).await;
    }
}

async fn leaves_both_as_they_are(release: Release) {
    let cluster = Cluster::start(release);
    let world = World::new(TestLog::postgres(), &cluster.url()).await;
    let first = queue(&world, Some(3)).await;
    has_its_turn(&world, told(3)).await;
    drop(first);

    let second = queue(&world, None).await;
    carries(&second, &second.clone()).await;
    has_its_turn(&world, untold()).await;
    for stream in [EVENTS, WAKEUPS] {
        Cluster::kept_by_all(&world.client, stream).await;
    }
    let wakeups = found(&world, WAKEUPS).await;
    assert_eq!(wakeups.cached_info().config.num_replicas, 3);
    eventually("the place in the queue is kept by all", async || {
        let consumer = wakeups.consumer_info(CONSUMER).await.ok();
        let cluster = consumer.and_then(|info| info.cluster);
        cluster.is_some_and(|cluster| cluster.replicas.len() == 2)
    })
    .await;
    let events = found(&world, EVENTS).await.cached_info().config.clone();
    assert_eq!(
        (events.num_replicas, events.max_age, events.max_bytes),
        (3, MAX_AGE, i64::from(MAX_BYTES))
    );

    // Who is told does as told, also where it is less.
    let third = queue(&world, Some(1)).await;
    has_its_turn(&world, told(1)).await;
    for stream in [EVENTS, WAKEUPS] {
        eventually("one copy, as told", async || {
            let stream = found(&world, stream).await;
            stream.cached_info().config.num_replicas == 1
        })
        .await;
    }
    carries(&third, &second).await;
    world.is_the_log().await;
}
