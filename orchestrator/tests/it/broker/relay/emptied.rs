//! Streams without a message that are further than their beginning. Whether what was there were events of this log, only the relay's
//! own note can tell.

use async_nats::jetstream::stream::Config;
use eventstore::testing::TestLog;
use orchestrator::bus::relay::LEASE;
use orchestrator::bus::relay::message::STREAM;

use super::world::{World, settings};
use crate::broker::eventually;
use crate::broker::nats::{NatsServer, Release};

/// Has the stream made anew, as the relay's words say, and checks that nothing is missing then.
async fn is_filled_again(world: &World) {
    let deleted = world.client.jetstream().delete_stream(STREAM).await;
    deleted.expect("deleted");
    world.is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_stream_that_begins_late_is_not_taken_for_one_whose_messages_have_gone_by_age() {
    let server = NatsServer::start(Release::New);
    let world = World::new(TestLog::postgres(), &server.url()).await;
    world.append(100).await;
    eventually("a broker", async || world.client.is_connected()).await;
    let theirs = Config {
        name: STREAM.to_owned(),
        subjects: vec!["bookmarket.events.>".to_owned()],
        first_sequence: Some(50),
        ..Config::default()
    };
    let made = world.client.jetstream().create_stream(theirs).await;
    assert_eq!(
        made.expect("made").cached_info().state.last_sequence,
        49,
        "it counts as if there had been some"
    );
    let relay = world.relay(settings()).await;
    relay.troubled("diverged").await;
    let report = relay.status.report();
    let told = |line: &String| line.starts_with("first_seq");
    assert!(report.differences.iter().any(told), "{report:?}");
    let state = world.info().await.expect("a stream").state;
    assert_eq!(state.messages, 0, "nothing is published behind a gap");
    is_filled_again(&world).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_places_of_strangers_messages_that_were_purged_are_not_taken_for_those_of_events() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let (world, relay) = World::relayed(&server.url(), 10).await;
        relay.stop().await;
        let jetstream = world.client.jetstream();
        for _ in 0..3 {
            let stray = jetstream.publish("bookmarket.events.order.Tested", "{}".into());
            stray.await.expect("sent").await.expect("stored");
        }
        world.purge().await;
        world.append(10).await;
        let relay = world.relay(settings()).await;
        relay.troubled("diverged").await;
        let detail = relay.status.report().detail.unwrap_or_default();
        assert!(detail.contains("further than 10"), "{detail}");
        is_filled_again(&world).await;
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_moved_goes_on_with_a_stream_whose_messages_have_gone() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let (world, relay) = World::relayed(&server.url(), 300).await;
        relay.stop().await;
        world.purge().await;
        world.forget_how_far_it_came();
        world.append(7).await;
        let relay = world.relay(settings()).await;
        world.caught_up().await;
        let (read, log) = (world.read().await, world.whole_log().await);
        let read: Vec<_> = read.iter().map(|read| (read.position, read.id)).collect();
        let log = log.iter().skip(300);
        let log: Vec<_> = log
            .map(|event| (event.position.0, event.event_id))
            .collect();
        assert_eq!(read, log);
        assert_eq!(relay.status.report().trouble, None);
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_stopped_amid_its_work_has_written_down_all_that_the_broker_has_stored() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        for _ in 0..3 {
            // Some of them are under way when it is stopped.
            world.append(3_000).await;
            let relay = world.relay(settings()).await;
            let mut stored = 0;
            eventually("it publishes", async || {
                stored = relay.status.report().position;
                stored > 0
            })
            .await;
            relay.stop().await;
            let note = world.store.bookmark(LEASE).await.expect("a log");
            let state = world.info().await.expect("a stream").state;
            assert_eq!(
                note.map(|note| note.position.0.unsigned_abs()),
                Some(state.last_sequence),
                "it was seen at {stored}"
            );
        }
    }
}
