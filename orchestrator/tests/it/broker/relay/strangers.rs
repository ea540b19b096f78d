//! Messages of others in the stream of events: found wherever they may have kept an event out.

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Stream};
use orchestrator::bus::relay::LEASE;
use orchestrator::bus::relay::message::STREAM;
use uuid::Uuid;

use super::world::{World, settings};
use crate::broker::eventually;
use crate::broker::nats::{NatsServer, Release};
use crate::town::STUCK;

/// Has an empty stream with the same settings.
async fn is_made_anew(world: &World) {
    let jetstream = world.client.jetstream();
    let stream = jetstream.get_stream(STREAM).await.expect("a stream");
    let config = Config {
        deny_purge: false,
        ..stream.cached_info().config.clone()
    };
    jetstream.delete_stream(STREAM).await.expect("deleted");
    jetstream.create_stream(config).await.expect("made");
}

async fn stray(world: &World) {
    let stray = world.client.jetstream();
    let stray = stray.publish("bookmarket.events.order.Tested", "{}".into());
    stray.await.expect("sent").await.expect("stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_stranger_has_put_in_the_place_of_another_is_found_by_looking_back() {
    let server = NatsServer::start(Release::New);
    let (world, relay) = World::relayed(&server.url(), 10).await;
    // As many messages as before, without the relay having been cut off or having anything to publish.
    is_made_anew(&world).await;
    for _ in 0..10 {
        stray(&world).await;
    }
    relay.troubled("diverged").await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_message_amid_events_that_were_under_way_is_found_by_who_relays_next() {
    for (release, events, noted, taken) in [
        (Release::Old, 20, 5, 11),
        // The first that may have been under way when the last one was stored.
        (Release::New, 600, 0, 600 - 511),
    ] {
        let server = NatsServer::start(release);
        let (world, relay) = World::relayed(&server.url(), events).await;
        relay.stop().await;
        killed_after_it_noted(&world, noted).await;
        let stream = a_stranger_gets_between(&world, events, taken).await;
        let relay = world.relay(settings()).await;
        let diverged = async |why: &str| {
            let told = format!("its message {taken} is {why}");
            eventually(&told, async || {
                let detail = relay.status.report().detail.unwrap_or_default();
                detail.contains(&told)
            })
            .await;
        };
        diverged("not the event").await;
        // To take the stranger's message away does not bring the event back.
        let deleted = stream.delete_message(taken as u64).await;
        assert!(deleted.expect("deleted"));
        diverged("missing").await;
        let deleted = world.client.jetstream().delete_stream(STREAM).await;
        deleted.expect("deleted");
        world.is_the_log().await;
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_purged_beyond_what_was_noted_is_not_gone_on_with() {
    let server = NatsServer::start(Release::New);
    let (world, relay) = World::relayed(&server.url(), 20).await;
    relay.stop().await;
    let stream = world.client.jetstream().get_stream(STREAM).await;
    let purged = stream.expect("a stream").purge().sequence(11).await;
    purged.expect("purged");
    killed_after_it_noted(&world, 5).await;
    let relay = world.relay(settings()).await;
    relay.troubled("diverged").await;
    let detail = relay.status.report().detail.unwrap_or_default();
    assert!(detail.contains("before 11"), "{detail}");
    relay.stop().await;
    // Had it noted the last of those that have gone, nothing would be missing.
    killed_after_it_noted(&world, 10).await;
    let relay = world.relay(settings()).await;
    world.append(5).await;
    world.caught_up().await;
    assert_eq!(relay.status.report().trouble, None);
    relay.stop().await;
}

/// Leaves what a relay leaves that was killed soon after it had noted how far it came.
async fn killed_after_it_noted(world: &World, position: usize) {
    world.forget_how_far_it_came();
    let Some(last) = position.checked_sub(1) else {
        return;
    };
    let event = world.whole_log().await[last].checkpoint();
    let (store, owner) = (&world.store, Uuid::new_v4());
    let lease = store.try_lease(LEASE, owner, STUCK).await;
    let lease = lease.expect("asked").expect("free");
    assert!(store.set_bookmark(&lease, event).await.expect("asked"));
    store.release_lease(&lease).await.expect("given back");
}

/// Publishes the events anew into an empty stream, as a relay does that has them under way, and a stranger's message in the place of one.
async fn a_stranger_gets_between(world: &World, events: usize, taken: usize) -> Stream {
    let jetstream = world.client.jetstream();
    let stream = jetstream.get_stream(STREAM).await.expect("a stream");
    let mut published = Vec::new();
    for sequence in 1..=events {
        let message = stream.get_raw_message(sequence as u64).await;
        published.push(message.expect("a message"));
    }
    is_made_anew(world).await;
    for message in published {
        if message.sequence == taken as u64 {
            stray(world).await;
            continue;
        }
        // The broker takes what is at its place, also behind the stranger's.
        let publish = PublishMessage::build()
            .headers(message.headers)
            .payload(message.payload);
        let sent = jetstream.send_publish(message.subject, publish).await;
        let stored = sent.expect("sent").await.expect("stored");
        assert_eq!(stored.sequence, message.sequence);
    }
    jetstream.get_stream(STREAM).await.expect("a stream")
}
