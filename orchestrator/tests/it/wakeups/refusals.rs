//! A broker that is there and takes no wake-ups: whoever publishes must hear of it, or nobody would look for what is due.

use orchestrator::bus::jetstream::STREAM;
use orchestrator::bus::wakeups::Wakeups;
use orchestrator::saga::dispatch::Wakeup;
use uuid::Uuid;

use super::carriers::{LIMITS, carries, connected, takes, usable};
use crate::broker::cluster::Cluster;
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{PATIENCE, connect, on_each_release};
use crate::soak;
use crate::town::until;

/// Of what fills the queue to the brim, in bytes.
const SIZES: [usize; 5] = [900 * 1024, 30 * 1024, 1024, 32, 1];

fn some() -> Wakeup {
    Wakeup::of(Uuid::now_v7())
}

/// Waits until it is said what is in the way; from then on nothing is taken.
async fn refuses(wakeups: &Wakeups, word: &str) {
    let standing = wakeups.standing().expect("a broker's");
    let trouble = until(word, PATIENCE, async || {
        let report = standing.report();
        report.trouble.filter(|trouble| trouble.contains(word))
    })
    .await;
    assert!(!wakeups.publish(some()), "taken in spite of: {trouble}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stores_nothing_takes_nothing_until_it_does() {
    on_each_release(takes_nothing_until_it_stores).await;
}

async fn takes_nothing_until_it_stores(release: Release) {
    let mut nats = NatsServer::stopped(release);
    nats.launch_with_jetstream(false);
    let wakeups = Wakeups::jetstream(connected(&nats.url()).await, None, LIMITS);
    refuses(&wakeups, "the broker does not give a stream").await;
    nats.kill();
    // With JetStream, and without room for the queue.
    nats.store_with_room("1MB");
    nats.launch_with_jetstream(true);
    refuses(&wakeups, "insufficient").await;
    nats.kill();
    nats.launch_with_room("1GB");
    takes(&wakeups).await;
    carries(&wakeups, &wakeups.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_takes_nothing_until_there_is_room() {
    let nats = NatsServer::start(Release::New);
    let broker = connected(&nats.url()).await;
    let wakeups = usable(broker.clone()).await;
    for size in SIZES {
        let rubbish = || {
            let payload = vec![b'x'; size].into();
            let jetstream = broker.jetstream();
            jetstream.publish("bookmarket.wakeups.saga", payload)
        };
        while rubbish().await.expect("sent").await.is_ok() {}
    }
    // The first one is believed to get there.
    until("a refusal", PATIENCE, async || {
        (!wakeups.publish(some())).then_some(())
    })
    .await;
    refuses(&wakeups, "maximum bytes").await;
    let stream = broker.jetstream().get_stream(STREAM).await;
    stream.expect("a stream").purge().await.expect("purged");
    takes(&wakeups).await;
    // What was refused by the broker after it had been taken here was not lost.
    carries(&wakeups, &wakeups.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_something_else_is_told_and_nothing_is_published_for_it() {
    let nats = NatsServer::start(Release::New);
    let broker = connected(&nats.url()).await;
    let wakeups = usable(broker.clone()).await;
    let stream = broker
        .jetstream()
        .get_stream(STREAM)
        .await
        .expect("a stream");
    broker
        .jetstream()
        .delete_stream(STREAM)
        .await
        .expect("deleted");
    let theirs = async_nats::jetstream::stream::Config {
        retention: async_nats::jetstream::stream::RetentionPolicy::Limits,
        ..stream.cached_info().config.clone()
    };
    broker
        .jetstream()
        .create_stream(theirs)
        .await
        .expect("made");
    // Whoever pulls finds out that the consumer is gone.
    let pulling = tokio::spawn({
        let wakeups = wakeups.clone();
        async move { wakeups.pull(1).await }
    });
    refuses(&wakeups, STREAM).await;
    broker
        .jetstream()
        .delete_stream(STREAM)
        .await
        .expect("deleted");
    takes(&wakeups).await;
    pulling.abort();
    carries(&wakeups, &wakeups.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_the_oldest_servers_goes_on_carrying_without_the_one_that_led() {
    goes_on_without_one(Release::Old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_recent_servers_goes_on_carrying_without_the_one_that_led() {
    goes_on_without_one(Release::New).await;
}

/// The leader of the queue is the one whose loss the others notice most. With `SOAK`, each of them after it.
async fn goes_on_without_one(release: Release) {
    let mut cluster = Cluster::start(release);
    let here = queue_of(&cluster).await;
    let there = queue_of(&cluster).await;
    takes(&here).await;
    let leader = kept_by_three(&cluster).await;
    let others: &[usize] = if soak::is_on() { &[0, 1, 2] } else { &[] };
    for nth in [leader].iter().chain(others) {
        cluster.servers[*nth].kill();
        carries(&here, &there).await;
        cluster.servers[*nth].launch();
        carries(&there, &here).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_the_oldest_servers_takes_nothing_without_a_majority() {
    takes_nothing_without_a_majority(Release::Old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_recent_servers_takes_nothing_without_a_majority() {
    takes_nothing_without_a_majority(Release::New).await;
}

async fn takes_nothing_without_a_majority(release: Release) {
    let mut cluster = Cluster::start(release);
    let here = queue_of(&cluster).await;
    let there = queue_of(&cluster).await;
    takes(&here).await;
    kept_by_three(&cluster).await;
    cluster.servers[0].kill();
    cluster.servers[1].kill();
    until("a refusal", PATIENCE, async || {
        (!here.publish(some())).then_some(())
    })
    .await;
    refuses(&here, "").await;
    cluster.servers[0].launch();
    cluster.servers[1].launch();
    takes(&here).await;
    carries(&here, &there).await;
}

async fn queue_of(cluster: &Cluster) -> Wakeups {
    Wakeups::jetstream(connect(&cluster.url()).await, Some(3), LIMITS)
}

/// Waits until three servers keep the queue, and says which of them leads.
async fn kept_by_three(cluster: &Cluster) -> usize {
    let client = connected(&cluster.url()).await;
    Cluster::kept_by_all(&client, STREAM).await
}
