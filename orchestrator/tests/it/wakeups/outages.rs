//! The queue after its broker was away, was restarted, or has forgotten everything.

use async_nats::jetstream;
use orchestrator::bus::jetstream::{CONSUMER, STREAM};
use orchestrator::bus::wakeups::Wakeups;
use orchestrator::saga::dispatch::Wakeup;
use uuid::Uuid;

use super::carriers::{LIMITS, carries, connected, usable};
use crate::broker::connect;
use crate::broker::nats::{NatsServer, Release};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_deleted_restarted_or_wiped_is_made_again() {
    for release in Release::EACH {
        let mut nats = NatsServer::start(release);
        let broker = connected(&nats.url()).await;
        let here = Wakeups::jetstream(broker.clone(), 1, LIMITS);
        let there = Wakeups::jetstream(connected(&nats.url()).await, 1, LIMITS);
        carries(&here, &there).await;
        let context: &jetstream::Context = broker.jetstream();
        let consumer = context.delete_consumer_from_stream(CONSUMER, STREAM);
        consumer.await.expect("it was there");
        carries(&here, &there).await;
        context.delete_stream(STREAM).await.expect("it was there");
        carries(&here, &there).await;
        nats.kill();
        nats.launch();
        carries(&here, &there).await;
        nats.wipe();
        carries(&there, &here).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_takes_nothing_and_holds_nobody_up() {
    let mut nats = NatsServer::stopped(Release::New);
    let wakeups = Wakeups::jetstream(connect(&nats.url()).await, 1, LIMITS);
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
    let wakeups = Wakeups::jetstream(broker.clone(), 1, LIMITS);
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

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_is_there_to_hear_is_not_confirmed() {
    for release in Release::EACH {
        let nats = NatsServer::start(release);
        let broker = connected(&nats.url()).await;
        let wakeups = usable(broker.clone()).await;
        assert!(wakeups.publish(Wakeup::of(Uuid::now_v7())));
        let pulled = wakeups.pull(1).await.pop().expect("a delivery");
        let context = broker.jetstream();
        let consumer = context.delete_consumer_from_stream(CONSUMER, STREAM);
        consumer.await.expect("it was there");
        assert!(!pulled.ack().await);
        carries(&wakeups, &wakeups.clone()).await;
    }
}
