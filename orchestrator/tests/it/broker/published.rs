//! The stream of events as a plain client reads it, held against the log.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::stream::Info;
use eventstore::{EventStore, Location, Options, Position, RecordedEvent};
use futures_util::StreamExt as _;
use orchestrator::bus::connection::Broker;
use orchestrator::bus::relay::message::{POSITION, RELAY, STREAM};
use secrecy::SecretString;
use tokio::time::timeout;
use uuid::Uuid;

use super::{PATIENCE, connect};
use crate::town::until_or;

/// Who reads a whole stream waits no longer for its next message, but begins anew.
const QUIET: Duration = Duration::from_secs(10);

/// Events read at once.
const PAGE: usize = 1000;

/// A log and where it is published.
pub(crate) struct Published {
    pub(crate) store: EventStore,
    /// The connection of a plain client.
    pub(crate) client: Broker,
}

/// A message as a plain client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) sequence: u64,
    pub(crate) position: i64,
    pub(crate) id: Uuid,
    pub(crate) relay: i64,
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

/// What is wrong with the stream, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) events: usize,
    /// Events without a message.
    pub(crate) missing: usize,
    /// Messages of an event that has one already.
    pub(crate) double: usize,
    /// Messages of a relay after those of its successor that are not exactly the next event. What was on its way when the turn passed
    /// may be, and then nothing is wrong with it.
    pub(crate) stale: usize,
}

impl Published {
    /// A log in Postgres and a broker, by their addresses.
    pub(crate) async fn at(database: String, nats: &str) -> Published {
        let location = Location::Postgres {
            url: SecretString::from(database),
        };
        let store = EventStore::open(&location, Options::default()).await;
        Published {
            store: store.expect("a log"),
            client: connect(nats).await,
        }
    }

    pub(crate) async fn info(&self) -> Option<Info> {
        let stream = self.client.jetstream().get_stream(STREAM).await.ok()?;
        Some(stream.cached_info().clone())
    }

    /// Waits until the stream is as far as the log.
    pub(crate) async fn caught_up(&self) {
        let head = self.store.head().await.expect("a log").0.unsigned_abs();
        let last = AtomicU64::new(0);
        let stuck = || format!("the stream is at {last:?} and the log at {head}");
        until_or(PATIENCE, stuck, async || {
            let reached = self.info().await?.state.last_sequence;
            last.store(reached, Ordering::Relaxed);
            (reached >= head).then_some(())
        })
        .await;
    }

    /// Everything in the stream, as a client reads it that has just come. A cluster may be without a leader for a moment.
    pub(crate) async fn read(&self) -> Vec<Read> {
        let last = Mutex::new(String::new());
        let stuck = || format!("the stream cannot be read: {}", last.lock().expect("whole"));
        until_or(PATIENCE, stuck, async || {
            let read = self.try_read().await;
            let why = |why| *last.lock().expect("whole") = why;
            read.map_err(why).ok()
        })
        .await
    }

    async fn try_read(&self) -> Result<Vec<Read>, String> {
        let stream = self.client.jetstream().get_stream(STREAM).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let wanted = usize::try_from(stream.cached_info().state.messages).expect("not many");
        let consumer = stream.create_consumer(Config {
            ack_policy: AckPolicy::None,
            ..Config::default()
        });
        let consumer = consumer.await.map_err(|error| error.to_string())?;
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(|error| error.to_string())?.take(wanted);
        let mut all = Vec::with_capacity(wanted);
        loop {
            let got = all.len();
            match timeout(QUIET, messages.next()).await {
                Ok(Some(Ok(message))) => all.push(read(&message)),
                Ok(Some(Err(error))) => return Err(format!("{error} after {got} of {wanted}")),
                Ok(None) => return Ok(all),
                Err(_) => return Err(format!("nothing comes after {got} of {wanted}")),
            }
        }
    }

    /// Everything in the log.
    pub(crate) async fn whole_log(&self) -> Vec<RecordedEvent> {
        let (mut events, mut after) = (Vec::new(), Position::ZERO);
        loop {
            let page = self.store.read_all(after, PAGE, None).await;
            let page = page.expect("the log");
            if page.events.is_empty() {
                return events;
            }
            after = page.next;
            events.extend(page.events);
        }
    }

    /// Checks that the stream is the log: everything, once, in order, and nothing stale.
    pub(crate) async fn is_the_log(&self) -> (Vec<Read>, Tally) {
        // A shop goes on meanwhile: only what was in the log when it was read is looked for.
        let events = self.whole_log().await;
        self.caught_up().await;
        let mut messages = self.read().await;
        let head = self.store.head().await.expect("a log").0;
        let last = messages.last().map_or(0, |message| message.position);
        assert!(
            last <= head,
            "a message of no event: {last}, and the log is at {head}"
        );
        messages.retain(|message| message.position <= events.len() as i64);
        let tally = tally(&messages, &events);
        assert_eq!(
            tally,
            Tally {
                events: events.len(),
                ..Tally::default()
            }
        );
        for (message, event) in messages.iter().zip(&events) {
            assert_eq!(message.position, event.position.0);
            assert_eq!(message.sequence, event.position.0.unsigned_abs());
            assert_eq!(message.id, event.event_id);
            assert_eq!(message.payload, event.data.get().as_bytes());
        }
        (messages, tally)
    }
}

fn tally(messages: &[Read], events: &[RecordedEvent]) -> Tally {
    let ids: HashSet<Uuid> = messages.iter().map(|message| message.id).collect();
    let missing = events.iter().filter(|event| !ids.contains(&event.event_id));
    let mut newest = 0;
    let stale = messages.iter().zip(1..).filter(|(message, next)| {
        newest = newest.max(message.relay);
        let event = usize::try_from(next - 1).ok().and_then(|at| events.get(at));
        let is_next =
            message.position == *next && event.is_some_and(|event| event.event_id == message.id);
        message.relay < newest && !is_next
    });
    Tally {
        events: events.len(),
        missing: missing.count(),
        double: messages.len() - ids.len(),
        stale: stale.count(),
    }
}

fn read(message: &jetstream::Message) -> Read {
    let headers = message.headers.as_ref().expect("headers");
    let header = |name: &str| headers.get(name).map_or("", |value| value.as_str());
    Read {
        sequence: message.info().expect("from a stream").stream_sequence,
        position: header(POSITION).parse().expect("a position"),
        id: header("ce-id").parse().expect("an id"),
        relay: header(RELAY).parse().expect("a token"),
        subject: message.subject.to_string(),
        payload: message.payload.to_vec(),
    }
}
