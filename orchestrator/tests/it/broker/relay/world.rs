//! A log, relays of it, and what a plain client of the broker sees.

use std::ops::Deref;
use std::time::Duration;

use eventstore::testing::TestLog;
use eventstore::{Category, EventStore, Expected, NewEvent, StreamAppend, StreamId};
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

/// A stream that keeps everything for an hour.
pub(super) fn settings() -> StreamSettings {
    StreamSettings {
        max_age: Duration::from_secs(3600),
        max_bytes: 0,
        replicas: 1,
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

    /// So many events that are not in the log yet.
    pub(super) fn events(count: usize) -> Vec<NewEvent> {
        std::iter::repeat_with(event).take(count).collect()
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
    let append = StreamAppend {
        stream: StreamId::new(Category::from_static("order"), Uuid::new_v4()),
        expected: Expected::NoStream,
        events,
    };
    store.append(vec![append]).await.expect("appended");
}

fn event() -> NewEvent {
    let raw = |text: String| RawValue::from_string(text).expect("JSON");
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "Tested".into(),
        schema_version: 1,
        data: raw(format!(r#"{{"note":"{}"}}"#, Uuid::new_v4())),
        metadata: raw(r#"{"correlationId":"c-1"}"#.to_owned()),
    }
}
