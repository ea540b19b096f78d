//! What the broker loses is published again.

use eventstore::testing::TestLog;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use orchestrator::bus::relay::message::STREAM;

use super::world::{World, settings};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{eventually, on_each_release};

/// An old server that cannot delete a directory tries again every 10 ms. It is done when the directory is gone at so many looks in a row,
/// which are further apart.
const LOOKS: usize = 5;

/// How often the relay may find out in another way than by looking back, for which the time has to be just right.
const ROUNDS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_published_once_and_in_order_whatever_keeps_the_log() {
    on_each_release(async |release| {
        for log in [TestLog::postgres(), TestLog::sqlite()] {
            let server = NatsServer::start(release);
            let world = World::new(log, &server.url()).await;
            world.append(2_500).await;
            let relay = world.relay(settings()).await;
            world.append(500).await;
            world.is_the_log().await;
            relay.stop().await;
            // What was appended meanwhile is found by the next one.
            world.append(10).await;
            let relay = world.relay(settings()).await;
            world.is_the_log().await;
            assert_eq!(relay.status.report().rewinds, 0);
            relay.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_wiped_is_filled_again() {
    on_each_release(async |release| {
        let mut server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        for _ in 0..3 {
            world.append(300).await;
            world.caught_up().await;
            // So that the loss is known to be one.
            remembered(&world).await;
            server.wipe();
            world.is_the_log().await;
        }
        assert_eq!(relay.status.report().rewinds, 3);
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_put_back_gets_what_it_has_forgotten() {
    on_each_release(async |release| {
        let mut server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        for round in 1..=3 {
            world.append(200).await;
            world.caught_up().await;
            let copy = server.backup();
            world.append(300).await;
            world.caught_up().await;
            remembered(&world).await;
            server.restore(&copy);
            world.append(50).await;
            world.is_the_log().await;
            assert_eq!(relay.status.report().rewinds, round);
        }
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_again_and_again_misses_nothing() {
    on_each_release(async |release| {
        let mut server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        for _ in 0..5 {
            world.append(500).await;
            server.kill();
            world.append(100).await;
            server.launch();
        }
        world.is_the_log().await;
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_frozen_for_long_misses_nothing_when_it_wakes() {
    on_each_release(async |release| {
        let server = NatsServer::start(release);
        let (world, relay) = World::relayed(&server.url(), 300).await;
        server.freeze();
        world.append(300).await;
        relay.troubled("broker-silent").await;
        server.thaw();
        world.is_the_log().await;
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_while_no_relay_runs_is_found_out() {
    let mut server = NatsServer::start(Release::New);
    let (world, relay) = World::relayed(&server.url(), 300).await;
    relay.stop().await;
    server.wipe();
    let relay = world.relay(settings()).await;
    world.is_the_log().await;
    assert_eq!(relay.status.report().rewinds, 1);
    relay.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_broker_that_forgets_while_there_is_nothing_to_publish_is_found_out() {
    is_found_out_by_looking(Release::New).await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_oldest_server_that_forgets_while_there_is_nothing_to_publish_is_found_out() {
    is_found_out_by_looking(Release::Old).await;
}

/// Neither a connection nor an event tells the relay: it has to look. On one thread, so that everything is counted by the recorder of
/// this test.
async fn is_found_out_by_looking(release: Release) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counts = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let server = NatsServer::start(release);
    let (world, relay) = World::relayed(&server.url(), 300).await;
    for round in 1.. {
        remembered(&world).await;
        assert_eq!(troubles(&counts, "forgotten"), 0, "{release:?}");
        swap_for_an_empty_one(&world, &server, &counts).await;
        world.is_the_log().await;
        assert_eq!(relay.status.report().rewinds, round, "{release:?}");
        if troubles(&counts, "forgotten") > 0 {
            break;
        }
        assert!(round < ROUNDS, "{release:?}: {}", counts.render());
    }
    relay.stop().await;
}

/// Deletes the stream and makes an empty one like it. An old server that is just deleting a stream deletes the files of one that is made at
/// once under its name as well, so it is waited for.
async fn swap_for_an_empty_one(world: &World, server: &NatsServer, counts: &PrometheusHandle) {
    let jetstream = world.client.jetstream();
    let before = troubles(counts, "stream-gone");
    // Then it has made the stream itself.
    let was_seen = || troubles(counts, "stream-gone") > before;
    let stream = jetstream.get_stream(STREAM).await.expect("a stream");
    assert!(server.has_directory(STREAM));
    jetstream.delete_stream(STREAM).await.expect("deleted");
    let mut looks = 0;
    eventually("the server is done with the stream", async || {
        let is_there = server.has_directory(STREAM) || world.info().await.is_some();
        looks = if is_there { 0 } else { looks + 1 };
        looks == LOOKS || was_seen()
    })
    .await;
    let empty = stream.cached_info().config.clone();
    let made = jetstream.create_stream(empty).await;
    assert!(made.is_ok() || was_seen(), "{made:?}");
}

/// How often the relay has met this trouble.
fn troubles(counts: &PrometheusHandle, code: &str) -> u64 {
    let label = format!("trouble=\"{code}\"");
    counted(counts, "bookmarket_relay_troubles_total", &label)
}

/// A counter with this label.
pub(super) fn counted(counts: &PrometheusHandle, name: &str, label: &str) -> u64 {
    let text = counts.render();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(name) && line.contains(label));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_have_gone_by_age_are_not_published_again() {
    on_each_release(async |release| {
        let server = NatsServer::start(release);
        let (world, relay) = World::relayed(&server.url(), 300).await;
        relay.stop().await;
        world.purge().await;
        world.append(7).await;
        let relay = world.relay(settings()).await;
        world.caught_up().await;
        let positions: Vec<_> = world
            .read()
            .await
            .iter()
            .map(|read| read.position)
            .collect();
        assert_eq!(positions, (301..=307).collect::<Vec<_>>());
        assert_eq!(relay.status.report().rewinds, 0);
        relay.stop().await;
    })
    .await;
}

/// Waits until the relay has written down how far it came.
async fn remembered(world: &World) {
    let head = world.head().await;
    eventually("the place is written down", async || {
        let bookmark = world.store.bookmark(orchestrator::bus::relay::LEASE).await;
        bookmark
            .expect("a log")
            .is_some_and(|at| at.position.0 == head)
    })
    .await;
}
