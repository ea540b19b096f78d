//! What can be in the relay's way: found, named, and over once its cause is.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use eventstore::NewEvent;
use eventstore::testing::TestLog;
use metrics_exporter_prometheus::PrometheusBuilder;
use orchestrator::bus::relay::StreamSettings;
use orchestrator::bus::relay::message::STREAM;
use orchestrator::bus::relay::status::Phase;
use serde_json::value::RawValue;

use super::world::{World, settings};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{eventually, on_each_release};

/// Several tries of a relay that does not get on.
const TOLD_FOR: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_stops_the_relay_until_there_is_room() {
    on_each_release(async |release| {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let small = StreamSettings {
            max_bytes: Some(64 * 1024),
            ..settings()
        };
        let relay = world.relay(small).await;
        world.append(1_000).await;
        relay.troubled("stream-full").await;
        let full = world.info().await.expect("a stream").state;
        assert!(full.messages < 1_000, "{full:?}");
        // It tries again all the while, and says so all the while.
        let until = Instant::now() + TOLD_FOR;
        while Instant::now() < until {
            let report = relay.status.report();
            assert_eq!(
                (report.phase, report.trouble),
                (Phase::Troubled, Some("stream-full")),
                "{report:?}"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let detail = relay.status.report().detail.unwrap_or_default();
        assert!(detail.contains("--events-max-bytes"), "{detail}");
        relay.stop().await;
        let relay = world.relay(settings()).await;
        world.is_the_log().await;
        assert_eq!(relay.status.report().trouble, None);
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_a_full_stream_has_stopped_goes_on_once_it_is_purged() {
    on_each_release(async |release| {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let small = StreamSettings {
            max_bytes: Some(64 * 1024),
            ..settings()
        };
        let relay = world.relay(small).await;
        world.append(500).await;
        relay.troubled("stream-full").await;
        let stream = world.client.jetstream().get_stream(STREAM).await;
        let stream = stream.expect("a stream");
        let head = world.head().await;
        // There is room for a part of them at a time, and each part is purged once, when the next finds no room.
        let mut purged = 0;
        eventually("all of it was published", async || {
            let report = relay.status.report();
            if report.trouble == Some("stream-full") && report.position > purged {
                stream.purge().await.expect("purged");
                purged = report.position;
            }
            report.position == head
        })
        .await;
        assert_eq!(relay.status.report().trouble, None);
        // Nothing was left out or sent twice: what is there is the end of the log.
        let (messages, log) = (world.read().await, world.whole_log().await);
        assert!(!messages.is_empty());
        for (message, event) in messages.iter().rev().zip(log.iter().rev()) {
            assert_eq!(message.sequence, event.position.0.unsigned_abs());
            assert_eq!(message.id, event.event_id);
        }
        relay.stop().await;
    })
    .await;
}

/// On one thread, so that everything is counted by the recorder of this test.
#[tokio::test(flavor = "current_thread")]
async fn a_stream_that_is_deleted_is_made_and_filled_again() {
    for release in Release::EACH {
        let recorder = PrometheusBuilder::new().build_recorder();
        let counts = recorder.handle();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let told = || counts.render().contains("trouble=\"stream-gone\"");
        let server = NatsServer::start(release);
        let (world, relay) = World::relayed(&server.url(), 300).await;
        assert!(!told());
        world
            .client
            .jetstream()
            .delete_stream(STREAM)
            .await
            .expect("deleted");
        world.append(1).await;
        world.is_the_log().await;
        assert!(told(), "{}", counts.render());
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_jetstream_is_named_and_used_when_it_has_one() {
    on_each_release(async |release| {
        let mut server = NatsServer::stopped(release);
        server.launch_with_jetstream(false);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        world.append(10).await;
        relay.troubled("no-jetstream").await;
        server.kill();
        server.launch_with_jetstream(true);
        world.is_the_log().await;
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_by_hand_is_set_right_or_told() {
    on_each_release(async |release| {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let theirs = Config {
            name: STREAM.to_owned(),
            subjects: vec!["bookmarket.events.>".to_owned()],
            storage: StorageType::Memory,
            ..Config::default()
        };
        eventually("a broker", async || world.client.is_connected()).await;
        world
            .client
            .jetstream()
            .create_stream(theirs)
            .await
            .expect("made");
        let relay = world.relay(settings()).await;
        world.append(10).await;
        world.is_the_log().await;
        let report = relay.status.report();
        assert!(
            report
                .differences
                .iter()
                .any(|line| line.starts_with("storage")),
            "{report:?}"
        );
        let config = world.info().await.expect("a stream").config;
        assert_eq!(config.discard, DiscardPolicy::New, "what can be changed is");
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_something_else_is_left_alone_until_it_is_deleted() {
    let server = NatsServer::start(Release::New);
    let (world, relay) = World::relayed(&server.url(), 10).await;
    let stray = world
        .client
        .jetstream()
        .publish("bookmarket.events.order.Tested", "{}".into());
    stray.await.expect("sent").await.expect("stored");
    world.append(10).await;
    relay.troubled("diverged").await;
    world
        .client
        .jetstream()
        .delete_stream(STREAM)
        .await
        .expect("deleted");
    world.is_the_log().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_another_log_is_not_continued() {
    let server = NatsServer::start(Release::New);
    let first = World::new(TestLog::postgres(), &server.url()).await;
    let relay = first.relay(settings()).await;
    first.append(10).await;
    first.caught_up().await;
    relay.stop().await;
    let config = first.info().await.expect("a stream").config;

    // A log that has not come so far, and one that has.
    let second = World::new(TestLog::postgres(), &server.url()).await;
    let others = StreamSettings {
        max_age: Some(Duration::from_secs(60)),
        max_bytes: Some(1024 * 1024),
        ..settings()
    };
    let relay = second.relay(others).await;
    relay.troubled("diverged").await;
    second.append(20).await;
    let more = relay.status.report();
    relay.stop().await;
    assert_eq!(more.trouble, Some("diverged"));
    let told = |line: &String| line.starts_with("max_age");
    assert!(more.differences.iter().any(told), "{more:?}");
    let info = second.info().await.expect("a stream");
    assert_eq!(info.state.last_sequence, 10);
    assert_eq!(info.config, config, "what it keeps is the other log's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_disk_is_full_stops_the_relay_until_there_is_room() {
    on_each_release(async |release| {
        let mut server = NatsServer::stopped(release);
        server.launch_with_room("128KB");
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        world.append(2_000).await;
        relay.troubled("stream-full").await;
        server.kill();
        server.launch_with_room("1GB");
        world.is_the_log().await;
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_for_the_broker_is_named_and_goes_once_it_is_not() {
    let mut server = NatsServer::stopped(Release::New);
    server.launch_with_payload("2KB");
    let world = World::new(TestLog::postgres(), &server.url()).await;
    let relay = world.relay(settings()).await;
    world.append(10).await;
    world.append_events(vec![large(8 * 1024)]).await;
    world.append(10).await;
    relay.troubled("event-too-large").await;
    let detail = relay.status.report().detail.unwrap_or_default();
    assert!(detail.contains("position 11"), "{detail}");
    assert_eq!(world.info().await.expect("a stream").state.messages, 10);
    server.kill();
    server.launch_with_payload("1MB");
    world.is_the_log().await;
    relay.stop().await;
}

fn large(bytes: usize) -> NewEvent {
    let mut event = World::events(1).remove(0);
    let data = format!(r#"{{"note":"{}"}}"#, "x".repeat(bytes));
    event.data = RawValue::from_string(data).expect("JSON");
    event
}
