//! The consumer that README has for whoever wants some of the events, and each of those: what comes is in order whatever becomes of
//! reader, consumer and broker.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use eventstore::testing::TestLog;
use futures_util::StreamExt as _;
use orchestrator::bus::relay::message::{POSITION, STREAM};
use tokio::time::timeout;

use super::consumers::{body, header, number};
use super::world::{World, settings};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{PATIENCE, on_each_release};

/// What it reads: every second one of so many events at a time.
const TYPE: &str = "Noted";
const EVENTS: usize = 200;

/// Short, so that a consumer that is gone is missed while the test runs.
const ASK_FOR: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_type_with_an_ordered_consumer_gets_each_of_them_in_order() {
    on_each_release(reads_in_order).await;
}

async fn reads_in_order(release: Release) {
    let mut server = NatsServer::start(release);
    let world = World::new(TestLog::postgres(), &server.url()).await;
    let relay = world.relay(settings()).await;
    let mut reader = Reader::default();
    note(&world).await;
    world.caught_up().await;
    let (_, mut messages) = reader.consumer(&world).await;
    reader.takes(&mut messages, EVENTS / 4).await;
    // The reader goes, with what it has not taken, and comes back.
    drop(messages);
    let (name, mut messages) = reader.consumer(&world).await;
    reader.takes(&mut messages, EVENTS / 4).await;
    // Its consumer goes.
    let jetstream = world.client.jetstream();
    let deleted = jetstream.delete_consumer_from_stream(&name, STREAM).await;
    deleted.expect("it was there");
    note(&world).await;
    reader.takes(&mut messages, EVENTS / 2).await;
    // The broker goes and comes back, the second time with nothing.
    server.kill();
    note(&world).await;
    server.launch();
    reader.takes(&mut messages, EVENTS / 2).await;
    server.wipe();
    note(&world).await;
    reader.takes(&mut messages, EVENTS / 2).await;
    assert_eq!(reader.taken, noted(&world).await);
    relay.stop().await;
}

/// Remembers the last position that it has taken, and takes whatever is further.
#[derive(Default)]
struct Reader {
    taken: Vec<Noted>,
}

/// A position, its stream, and what it says.
type Noted = (i64, String, String);

impl Reader {
    fn last(&self) -> i64 {
        self.taken.last().map_or(0, |(position, ..)| *position)
    }

    /// One from its own place on, by its name, with what comes.
    async fn consumer(&self, world: &World) -> (String, Ordered) {
        let start_sequence = self.last().unsigned_abs() + 1;
        let config = OrderedConfig {
            filter_subject: format!("bookmarket.events.order.{TYPE}"),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            max_expires: ASK_FOR,
            ..OrderedConfig::default()
        };
        let jetstream = world.client.jetstream();
        let made = jetstream.create_consumer_on_stream(config, STREAM).await;
        let consumer = made.expect("a consumer");
        let name = consumer.cached_info().name.clone();
        (name, consumer.messages().await.expect("it is asked"))
    }

    /// So many more.
    async fn takes(&mut self, messages: &mut Ordered, count: usize) {
        let wanted = self.taken.len() + count;
        let taking = async {
            while self.taken.len() < wanted {
                // The client misses its consumer sooner if it is asked again: it sleeps through the first heartbeat that does not come.
                let next = timeout(ASK_FOR, messages.next()).await;
                if let Ok(message) = next {
                    self.see(&message.expect("it goes on").expect("a message"));
                }
            }
        };
        let taken = timeout(PATIENCE, taking).await;
        assert!(taken.is_ok(), "{} of {wanted}", self.taken.len());
    }

    fn see(&mut self, message: &Message) {
        let position = number(message, POSITION);
        if position > self.last() {
            let stream = header(message, "ce-subject").to_owned();
            self.taken.push((position, stream, body(message)));
        }
    }
}

/// Appends events, every second one of the type.
async fn note(world: &World) {
    let mut events = World::events(EVENTS);
    for event in events.iter_mut().step_by(2) {
        event.event_type = TYPE.into();
    }
    world.append_events(events).await;
}

/// What whoever reads the log itself has of the type.
async fn noted(world: &World) -> Vec<Noted> {
    let events = world.whole_log().await;
    let noted = events.iter().filter(|event| *event.event_type == *TYPE);
    noted
        .map(|event| {
            let body = event.data.get().to_owned();
            (event.position.0, event.stream.to_string(), body)
        })
        .collect()
}
