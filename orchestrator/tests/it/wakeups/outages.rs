//! The queue after its broker was away, was restarted, or has forgotten everything.

use std::time::Duration;

use async_nats::jetstream;
use orchestrator::bus::connection::Broker;
use orchestrator::bus::jetstream::{CONSUMER, STREAM};
use orchestrator::bus::wakeups::{Delivery, Wakeups};
use orchestrator::saga::dispatch::Wakeup;
use tokio::time::timeout;
use uuid::Uuid;

use super::carriers::{LIMITS, carries, connected, takes, usable};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{connect, on_each_release};
use crate::town::{STUCK, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_deleted_restarted_or_wiped_is_made_again() {
    on_each_release(is_made_again).await;
}

async fn is_made_again(release: Release) {
    let mut nats = NatsServer::start(release);
    let broker = connected(&nats.url()).await;
    let here = Wakeups::jetstream(broker.clone(), None, LIMITS);
    let there = Wakeups::jetstream(connected(&nats.url()).await, None, LIMITS);
    carries(&here, &there).await;
    let context: &jetstream::Context = broker.jetstream();
    let consumer = context.delete_consumer_from_stream(CONSUMER, STREAM);
    consumer.await.expect("it was there");
    is_told_and_over(&there).await;
    carries(&here, &there).await;
    context.delete_stream(STREAM).await.expect("it was there");
    is_told_and_over(&there).await;
    carries(&here, &there).await;
    nats.kill();
    nats.launch();
    carries(&here, &there).await;
    nats.wipe();
    carries(&there, &here).await;
}

/// Waits until whoever pulls has found out that something is gone and says so, and until nothing is in the way any more.
async fn is_told_and_over(wakeups: &Wakeups) {
    let standing = wakeups.standing().expect("a broker's");
    let pulling = tokio::spawn(pull_on(wakeups.clone()));
    until("word of what is gone", STUCK, async || {
        standing.report().trouble
    })
    .await;
    takes(wakeups).await;
    pulling.abort();
}

async fn pull_on(wakeups: Wakeups) {
    loop {
        for delivery in wakeups.pull(10).await {
            delivery.ack().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_about_a_delivery_of_a_deleted_consumer_is_not_known_to_be_heard() {
    on_each_release(async |release| {
        let nats = NatsServer::start(release);
        let broker = connected(&nats.url()).await;
        let wakeups = usable(broker.clone()).await;
        let wakeup = Wakeup::of(Uuid::now_v7());
        assert!(wakeups.publish(wakeup.clone()));
        let delivery = orphaned(&wakeups, &broker).await;
        assert!(!delivery.ack().await, "nobody was there to hear it");
        // As nobody has heard that it is done with, it is there again.
        let delivery = orphaned(&wakeups, &broker).await;
        assert_eq!(delivery.wakeup, wakeup);
        assert!(!delivery.later(Duration::from_millis(100)).await);
        let delivery = next(&wakeups).await;
        assert_eq!(delivery.wakeup, wakeup);
        assert!(delivery.ack().await);
    })
    .await;
}

/// The next delivery, whose consumer is then deleted. It stays so: who has all that was asked for asks nothing that would find it out.
async fn orphaned(wakeups: &Wakeups, broker: &Broker) -> Delivery {
    let delivery = next(wakeups).await;
    let jetstream = broker.jetstream();
    let deleted = jetstream.delete_consumer_from_stream(CONSUMER, STREAM);
    deleted.await.expect("it was there");
    delivery
}

async fn next(wakeups: &Wakeups) -> Delivery {
    let pulled = timeout(STUCK, wakeups.pull(1)).await;
    pulled.expect("in time").remove(0)
}

/// More than are sent at once.
const MANY: u64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_just_before_the_end_is_in_the_queue_at_the_end() {
    for release in Release::EACH {
        let nats = NatsServer::start(release);
        let observer = connected(&nats.url()).await;
        let wakeups = usable(connected(&nats.url()).await).await;
        for _ in 0..MANY {
            assert!(wakeups.publish(Wakeup::of(Uuid::now_v7())));
        }
        wakeups.close().await;
        // Looked at once: whoever has closed ends, and sends nothing later.
        let stream = observer.jetstream().get_stream(STREAM).await;
        let state = stream.expect("a stream").cached_info().state.clone();
        assert_eq!(state.messages, MANY, "{release:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_takes_nothing_and_holds_nobody_up() {
    let mut nats = NatsServer::stopped(Release::New);
    let wakeups = Wakeups::jetstream(connect(&nats.url()).await, None, LIMITS);
    for _ in 0..100_000 {
        assert!(!wakeups.publish(Wakeup::of(Uuid::now_v7())));
    }
    nats.launch();
    carries(&wakeups, &wakeups.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_left_in_the_queue_is_put_out_of_the_way() {
    let nats = NatsServer::start(Release::New);
    let broker = connected(&nats.url()).await;
    let wakeups = Wakeups::jetstream(broker.clone(), None, LIMITS);
    carries(&wakeups, &wakeups.clone()).await;
    let rubbish = broker
        .jetstream()
        .publish("bookmarket.wakeups.saga", "rubbish".into());
    rubbish
        .await
        .expect("it is sent")
        .await
        .expect("it is kept");
    carries(&wakeups, &wakeups.clone()).await;
}
