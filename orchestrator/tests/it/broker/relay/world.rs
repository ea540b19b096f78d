//! A log, relays of it, and what a plain client of the broker sees.

use std::collections::HashMap;
use std::ops::Deref;
use std::time::Duration;

use eventstore::testing::TestLog;
use eventstore::{Category, EventStore, Expected, NewEvent, StreamAppend, StreamId, Version};
use orchestrator::bus::relay::message::STREAM;
use orchestrator::bus::relay::status::RelayStatus;
use orchestrator::bus::relay::{Relay, StreamSettings};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::published::{Published, Read, Tally};
use crate::broker::{connect, eventually};

/// Events in one append of a test.
const BATCH: usize = 100;
/// The same of whole orders.
const ORDERS_AT_ONCE: usize = 10;

/// Events of an order that is shipped and told of, and what each says, as in the benches.
pub(super) const ORDER_EVENTS: usize = 14;
pub(super) const DATA_BYTES: usize = 350;

/// How a process with all roles appends them: placed, paid, shipped and told of, each with what its saga says of it and begins next. So
/// many events of each category at a time.
pub(super) const ORDER_APPENDS: [&[(&str, usize)]; 4] = [
    &[("order", 1), ("saga", 2)],
    &[("payment", 1), ("order", 1), ("saga", 2)],
    &[("delivery", 1), ("order", 1), ("saga", 3)],
    &[("kakao", 1), ("saga", 1)],
];

/// A stream that keeps everything for an hour.
pub(super) fn settings() -> StreamSettings {
    StreamSettings {
        max_age: Some(Duration::from_secs(3600)),
        max_bytes: Some(0),
        replicas: Some(1),
        duplicate_window: Duration::from_secs(120),
    }
}

/// A log and where it is published.
pub(super) struct World {
    log: TestLog,
    pub(super) url: String,
    published: Published,
}

/// A relay in this process, stopped with this.
pub(super) struct Running {
    pub(super) status: RelayStatus,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Deref for World {
    type Target = Published;

    fn deref(&self) -> &Published {
        &self.published
    }
}

impl World {
    pub(super) async fn new(log: TestLog, url: &str) -> World {
        World {
            published: Published {
                store: log.open().await,
                client: connect(url).await,
            },
            log,
            url: url.to_owned(),
        }
    }

    /// A log in Postgres and a relay of it that has published so many events.
    pub(super) async fn relayed(url: &str, events: usize) -> (World, Running) {
        let world = World::new(TestLog::postgres(), url).await;
        let relay = world.relay(settings()).await;
        world.append(events).await;
        world.caught_up().await;
        (world, relay)
    }

    /// Takes all messages from the stream, as their age does.
    pub(super) async fn purge(&self) {
        let stream = self.client.jetstream().get_stream(STREAM).await;
        stream.expect("a stream").purge().await.expect("purged");
    }

    /// So many events that are not in the log yet.
    pub(super) fn events(count: usize) -> Vec<NewEvent> {
        std::iter::repeat_with(event).take(count).collect()
    }

    /// The events of an order, as large as those of the shop, each because of the one before it.
    pub(super) fn order() -> Vec<NewEvent> {
        let order = Uuid::new_v4();
        let mut events = World::events(ORDER_EVENTS);
        let mut cause = None;
        for event in &mut events {
            event.data = data();
            event.metadata = metadata(order, cause);
            cause = Some(event.event_id);
        }
        events
    }

    /// The same, as they are appended one after another.
    pub(super) fn appends_of_an_order() -> Vec<Vec<StreamAppend>> {
        let (order, mut events) = (Uuid::new_v4(), World::order().into_iter());
        let (mut versions, mut appends) = (HashMap::new(), Vec::new());
        for parts in ORDER_APPENDS {
            let mut append = Vec::new();
            for &(category, count) in parts {
                let version = versions.entry(category).or_insert(Version::ZERO);
                append.push(StreamAppend {
                    stream: StreamId::new(Category::from_static(category), order),
                    expected: expected(*version),
                    events: events.by_ref().take(count).collect(),
                });
                version.0 += count as i64;
            }
            appends.push(append);
        }
        assert!(events.next().is_none(), "some are never appended");
        appends
    }

    /// Appends the events of so many orders, each to a stream of its own.
    pub(super) async fn append_orders(&self, count: usize) {
        for done in (0..count).step_by(ORDERS_AT_ONCE) {
            let orders = ORDERS_AT_ONCE.min(count - done);
            let appends = std::iter::repeat_with(|| to_a_new_stream(World::order()));
            let appends = appends.take(orders).collect();
            self.store.append(appends).await.expect("appended");
        }
    }

    /// Appends events to a stream of their own.
    pub(super) async fn append_events(&self, events: Vec<NewEvent>) {
        append_events(&self.store, events).await;
    }

    /// Appends so many events.
    pub(super) async fn append(&self, count: usize) {
        for done in (0..count).step_by(BATCH) {
            self.append_events(World::events(BATCH.min(count - done)))
                .await;
        }
    }

    /// Gives the relay's turn to somebody who does nothing with it for a while.
    pub(super) fn give_the_turn_away(&self) {
        let TestLog::Postgres(database) = &self.log else {
            panic!("only on Postgres");
        };
        let take = "UPDATE log_leases SET expires_at = now() + interval '3 s', owner = gen_random_uuid(), token = token + 1 \
             WHERE name = 'relay'";
        database.try_execute(take).expect("taken");
    }

    /// Leaves behind what the relay has written down, as whoever moves a log does.
    pub(super) fn forget_how_far_it_came(&self) {
        let TestLog::Postgres(database) = &self.log else {
            panic!("only on Postgres");
        };
        let forget = "DELETE FROM log_bookmarks WHERE name = 'relay'";
        database.try_execute(forget).expect("forgotten");
    }

    pub(super) async fn head(&self) -> i64 {
        self.store.head().await.expect("a log").0
    }

    /// Starts a relay with a connection of its own, as in a process of its own.
    pub(super) async fn relay(&self, settings: StreamSettings) -> Running {
        self.relay_through(&self.url, settings).await
    }

    /// The same, connected to another address.
    pub(super) async fn relay_through(&self, url: &str, settings: StreamSettings) -> Running {
        let relay = Relay::new(self.store.clone(), connect(url).await, settings);
        let (status, stop) = (relay.status(), CancellationToken::new());
        Running {
            status,
            task: tokio::spawn(relay.run(stop.clone())),
            stop,
        }
    }

    /// The same, with what was counted.
    pub(super) async fn tally(&self) -> Tally {
        self.published.is_the_log().await.1
    }

    /// Checks that the stream is the log.
    pub(super) async fn is_the_log(&self) -> Vec<Read> {
        self.published.is_the_log().await.0
    }
}

impl Running {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic");
    }

    /// Waits until this is in the way.
    pub(super) async fn troubled(&self, code: &str) {
        eventually(code, async || self.status.report().trouble == Some(code)).await;
    }
}

/// Appends so many events to a stream of their own.
pub(crate) async fn append(store: &EventStore, count: usize) {
    append_events(store, World::events(count)).await;
}

async fn append_events(store: &EventStore, events: Vec<NewEvent>) {
    let append = to_a_new_stream(events);
    store.append(vec![append]).await.expect("appended");
}

fn expected(version: Version) -> Expected {
    match version {
        Version::ZERO => Expected::NoStream,
        version => Expected::At(version),
    }
}

fn to_a_new_stream(events: Vec<NewEvent>) -> StreamAppend {
    StreamAppend {
        stream: StreamId::new(Category::from_static("order"), Uuid::new_v4()),
        expected: Expected::NoStream,
        events,
    }
}

fn event() -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "Tested".into(),
        schema_version: 1,
        data: raw(format!(r#"{{"note":"{}"}}"#, Uuid::new_v4())),
        metadata: raw(r#"{"correlationId":"c-1"}"#.to_owned()),
    }
}

/// As many bytes as an event of the shop has, of which a broker that compresses gets no more out than of those.
fn data() -> Box<RawValue> {
    let mut note = String::with_capacity(DATA_BYTES + 32);
    while note.len() < DATA_BYTES {
        note.push_str(&Uuid::new_v4().simple().to_string());
    }
    note.truncate(DATA_BYTES - r#"{"note":""}"#.len());
    raw(format!(r#"{{"note":"{note}"}}"#))
}

/// Which order an event belongs to, which event it came of, and of which trace it is part.
fn metadata(order: Uuid, cause: Option<Uuid>) -> Box<RawValue> {
    let cause = cause.map_or_else(String::new, |cause| format!(r#""causationId":"{cause}","#));
    let (trace, parent) = (order.simple(), order.as_u64_pair().0);
    raw(format!(
        r#"{{"correlationId":"{order}",{cause}"traceparent":"00-{trace}-{parent:016x}-01"}}"#
    ))
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("JSON")
}
