//! How fast: figures for `scripts/soak.sh`, which have to be reached there. Here the bounds are loose, as a busy machine is no fault
//! of the relay's: what misses them is another kind of slow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use eventstore::testing::{TestDatabase, TestLog};
use futures_util::StreamExt as _;
use orchestrator::bus::hints;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::turns::Process;
use super::world::{DATA_BYTES, ORDER_APPENDS, ORDER_EVENTS, World, settings};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{PATIENCE, connect, eventually};
use crate::soak::{self, size};

/// What is as much as a busy machine can take in a build for tests would measure nothing but that there is more.
fn orders_a_second() -> u32 {
    if soak::is_on() { 500 } else { 125 }
}

/// So long that a disk that stands still for a third of a second, once, is no hundredth of it; elsewhere for a tenth of the orders.
fn seconds() -> u32 {
    if soak::is_on() { 40 } else { 16 }
}

/// What has to be reached on a machine that does nothing else.
const THROUGHPUT_MIN: f64 = 20_000.0;
const LATENCY_MAX: Duration = Duration::from_millis(50);

/// What has to be reached anywhere.
const THROUGHPUT_MIN_HERE: f64 = 2_000.0;
const LATENCY_MAX_HERE: Duration = Duration::from_millis(500);

/// When each event was to be appended that has not come yet.
type Sent = Arc<Mutex<HashMap<Uuid, Instant>>>;

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_published_at_full_speed() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        world.append_orders(size(200_000) / ORDER_EVENTS).await;
        let relay = world.relay(settings()).await;
        eventually("it has begun", async || relay.status.report().position > 0).await;
        let (began, first) = (Instant::now(), relay.status.report().position);
        let head = world.head().await;
        eventually("it is done", async || {
            relay.status.report().position == head
        })
        .await;
        let (took, published) = (began.elapsed().as_secs_f64(), head - first);
        #[expect(clippy::cast_precision_loss, reason = "a count of at most millions")]
        let rate = published as f64 / took;
        println!(
            "figure: relay-throughput broker={release} events-an-order={ORDER_EVENTS} data-bytes={DATA_BYTES} events={published} \
             per-second={rate:.0}"
        );
        let least = if soak::is_on() {
            THROUGHPUT_MIN
        } else {
            THROUGHPUT_MIN_HERE
        };
        assert!(rate >= least, "{rate:.0}");
        world.caught_up().await;
        relay.stop().await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_soon_with_a_plain_subscriber() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let database = TestDatabase::create();
        let url = database.url();
        let world = Arc::new(World::new(TestLog::Postgres(database), &server.url()).await);
        // As it is deployed: a process that does nothing else, and hears of appends elsewhere by hints.
        let _relay = Process::relaying(&url, &world.url);
        let (stop, announcer) = (CancellationToken::new(), connect(&world.url).await);
        let announcing = hints::announce(world.store.clone(), announcer, stop.clone());
        let announcing = tokio::spawn(announcing);
        world.append(1).await;
        world.caught_up().await;
        let mut events = world
            .client
            .client()
            .subscribe("bookmarket.events.>")
            .await
            .expect("subscribed");
        world
            .client
            .client()
            .flush()
            .await
            .expect("the subscription is there");

        let orders = (orders_a_second() * seconds()) as usize;
        let sent = Sent::default();
        let ordering = order_steadily(Arc::clone(&world), Arc::clone(&sent), orders);
        let ordering = tokio::spawn(ordering);
        let mut delays = delays(&mut events, &sent, orders * ORDER_EVENTS).await;
        let (mut appends, took) = ordering.await.expect("no panic");
        let p99 = percentile(&mut delays, 99);
        println!(
            "figure: relay-latency broker={release} orders={orders} orders-per-second={} events-an-order={ORDER_EVENTS} \
             appends-an-order={} appends-per-second={:.0} data-bytes={DATA_BYTES} p50={:?} p99={p99:?} p99-of-the-append-alone={:?}",
            orders_a_second(),
            ORDER_APPENDS.len(),
            appends.len() as f64 / took.as_secs_f64(),
            percentile(&mut delays, 50),
            percentile(&mut appends, 99)
        );
        let most = if soak::is_on() {
            LATENCY_MAX
        } else {
            LATENCY_MAX_HERE
        };
        assert!(p99 <= most, "{p99:?}");
        stop.cancel();
        announcing.await.expect("no panic");
    }
}

fn percentile(delays: &mut [Duration], percent: usize) -> Duration {
    delays.sort_unstable();
    delays[delays.len() * percent / 100 - 1]
}

/// Takes so many events as they come, and says how long each was on its way.
async fn delays(events: &mut Subscriber, sent: &Sent, count: usize) -> Vec<Duration> {
    let mut delays = Vec::new();
    while delays.len() < count {
        let next = tokio::time::timeout(PATIENCE, events.next()).await;
        let message = next.expect("in time").expect("a message");
        let headers = message.headers.as_ref().expect("headers");
        let id = headers.get("ce-id").expect("an id").as_str();
        let id = id.parse::<Uuid>().expect("a uuid");
        let since = sent.lock().expect("no panic").remove(&id);
        delays.push(since.expect("appended, and here once").elapsed());
    }
    delays
}

/// Orders that often at an even pace, and says how long each append took, and all of it.
async fn order_steadily(world: Arc<World>, sent: Sent, orders: usize) -> (Vec<Duration>, Duration) {
    let began = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_secs(1) / orders_a_second());
    let mut ordering = tokio::task::JoinSet::new();
    for _ in 0..orders {
        let due = pace.tick().await.into_std();
        ordering.spawn(order(Arc::clone(&world), Arc::clone(&sent), due));
    }
    let appends = ordering.join_all().await.concat();
    (appends, began.elapsed())
}

/// Makes the appends of an order, and says how long each took: the first from the moment that it is due, each of the others from the moment
/// that the one before it is in the log.
async fn order(world: Arc<World>, sent: Sent, mut since: Instant) -> Vec<Duration> {
    let mut took = Vec::new();
    for append in World::appends_of_an_order() {
        let events = append.iter().flat_map(|part| &part.events);
        let events = events.map(|event| (event.event_id, since));
        sent.lock().expect("no panic").extend(events);
        world.store.append(append).await.expect("appended");
        took.push(since.elapsed());
        since = Instant::now();
    }
    took
}
