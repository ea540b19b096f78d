//! Consumers of the stream as README has them: what is put off and comes after others, what comes twice, and a consumer that is gone
//! half way change nothing of what a reader makes of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::{AckKind, Message};
use eventstore::testing::TestLog;
use fastrand::Rng;
use futures_util::StreamExt as _;
use orchestrator::bus::relay::message::{POSITION, STREAM};
use tokio::time::timeout;

use super::world::{Running, World, settings};
use crate::broker::PATIENCE;
use crate::broker::nats::{NatsServer, Release};
use crate::storm::dice;

const EVENTS: usize = 600;
const NAME: &str = "reader";

/// Short, so that what is not acknowledged comes again while the test runs.
const ACK_WAIT: Duration = Duration::from_millis(400);
/// For how long something is put off: others overtake it.
const PUT_OFF: Duration = Duration::from_millis(20);
/// In hand at once, and of that with one question, which stays open for so long.
const IN_HAND: i64 = 32;
const BATCH: usize = 16;
const ASK_FOR: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_only_what_is_next_reads_the_log_whatever_is_put_off_or_comes_twice() {
    for release in Release::EACH {
        let (_server, world, relay) = filled(release).await;
        let mut reader = Reader::new(dice(11, 0));
        let consumer = consumer(&world, reader.config()).await;
        reader.reads_all(&world, &consumer).await;
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_consumer_is_deleted_half_way_goes_on_from_its_own_place() {
    for release in Release::EACH {
        let (_server, world, relay) = filled(release).await;
        let mut reader = Reader::new(dice(12, 0));
        let first = consumer(&world, reader.config()).await;
        read(&first, async |message| {
            reader.see(&message).await;
            reader.story.len() < EVENTS / 2
        })
        .await;
        let in_hand = batch(&first).await;
        delete_consumer(&world).await;
        assert!(!in_hand.is_empty());
        for message in in_hand {
            // What it says goes nowhere now; what it takes it has.
            reader.see(&message).await;
        }
        let second = consumer(&world, reader.config()).await;
        reader.reads_all(&world, &second).await;
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_type_that_keeps_the_highest_version_of_each_stream_ends_as_the_log_does() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        for _ in 0..4 {
            let mut events = World::events(EVENTS / 4);
            for event in events.iter_mut().step_by(2) {
                event.event_type = "Noted".into();
            }
            world.append_events(events).await;
        }
        world.caught_up().await;
        let mut latest = Latest::new(dice(13, 0));
        let noted = Config {
            filter_subject: "bookmarket.events.order.Noted".to_owned(),
            ..from(1)
        };
        let consumer = consumer(&world, noted).await;
        read(&consumer, async |message| {
            latest.see(&message).await;
            true
        })
        .await;
        let mut expected = BTreeMap::new();
        for event in world.whole_log().await {
            if *event.event_type == *"Noted" {
                let body = event.data.get().to_owned();
                expected.insert(event.stream.to_string(), (event.version.0, body));
            }
        }
        assert_eq!(latest.known, expected);
        latest.seen.of_all_kinds();
        relay.stop().await;
    }
}

/// A broker that has so many events of a log, of which one relay keeps it up to date.
async fn filled(release: Release) -> (NatsServer, World, Running) {
    let server = NatsServer::start(release);
    let world = World::new(TestLog::postgres(), &server.url()).await;
    let relay = world.relay(settings()).await;
    world.append(EVENTS).await;
    world.caught_up().await;
    (server, world, relay)
}

/// What came to a reader other than once and in order.
#[derive(Debug, Default)]
struct Seen {
    twice: usize,
    overtaken: usize,
}

impl Seen {
    fn of_all_kinds(&self) {
        assert!(self.twice > 0 && self.overtaken > 0, "{self:?}");
    }
}

/// Reads all of it: takes exactly the next, puts off what is further, skips what is less.
struct Reader {
    dice: Rng,
    seen: Seen,
    /// What it has taken, with the stream of each: whatever it made of that would be the same.
    story: Vec<(String, String)>,
}

impl Reader {
    fn new(dice: Rng) -> Reader {
        Reader {
            dice,
            seen: Seen::default(),
            story: Vec::new(),
        }
    }

    /// The position that it takes next: everything before it is in the story.
    fn next(&self) -> u64 {
        self.story.len() as u64 + 1
    }

    /// A consumer from its own place on.
    fn config(&self) -> Config {
        from(self.next())
    }

    async fn see(&mut self, message: &Message) {
        let position: u64 = number(message, POSITION);
        if position < self.next() {
            self.seen.twice += 1;
            say(message, AckKind::Ack).await;
        } else if position > self.next() {
            self.seen.overtaken += 1;
            say(message, put_off()).await;
        } else {
            let word = luck(&mut self.dice);
            if takes(word.as_ref()) {
                self.take(message);
            }
            if let Some(word) = word {
                say(message, word).await;
            }
        }
    }

    /// To the end, where it has all of the log, however that came to it.
    async fn reads_all(&mut self, world: &World, consumer: &PullConsumer) {
        read(consumer, async |message| {
            self.see(&message).await;
            true
        })
        .await;
        assert_eq!(self.story, story(world).await);
        self.seen.of_all_kinds();
    }

    fn take(&mut self, message: &Message) {
        let stream = header(message, "ce-subject").to_owned();
        self.story.push((stream, body(message)));
    }
}

/// Reads one type, so that it sees gaps: of each stream it keeps what has the highest version.
struct Latest {
    dice: Rng,
    seen: Seen,
    known: BTreeMap<String, (i64, String)>,
    /// Positions that it has taken, to tell what comes twice from what was overtaken.
    taken: BTreeSet<u64>,
}

impl Latest {
    fn new(dice: Rng) -> Latest {
        Latest {
            dice,
            seen: Seen::default(),
            known: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }

    async fn see(&mut self, message: &Message) {
        let stream = header(message, "ce-subject");
        let version: i64 = number(message, "bookmarket-version");
        let position: u64 = number(message, POSITION);
        let known = self.known.get(stream).map(|(version, _)| *version);
        if known.is_some_and(|known| version <= known) {
            let twice = self.taken.contains(&position);
            self.seen.twice += usize::from(twice);
            self.seen.overtaken += usize::from(!twice);
            say(message, AckKind::Ack).await;
            return;
        }
        let word = luck(&mut self.dice);
        if takes(word.as_ref()) {
            let known = (version, body(message));
            self.known.insert(stream.to_owned(), known);
            self.taken.insert(position);
        }
        if let Some(word) = word {
            say(message, word).await;
        }
    }
}

/// What a reader says to a message that it could take: that it has taken it, that it should come later, or, having taken it, nothing.
fn luck(dice: &mut Rng) -> Option<AckKind> {
    match dice.u8(0..10) {
        0 => Some(put_off()),
        1 => None,
        _ => Some(AckKind::Ack),
    }
}

/// Whether it has taken what it says this to.
fn takes(word: Option<&AckKind>) -> bool {
    !matches!(word, Some(AckKind::Nak(_)))
}

fn put_off() -> AckKind {
    AckKind::Nak(Some(PUT_OFF))
}

async fn say(message: &Message, word: AckKind) {
    message.ack_with(word).await.expect("it is sent");
}

pub(super) fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    let headers = message.headers.as_ref().expect("headers");
    headers.get(name).expect("a header").as_str()
}

pub(super) fn number<T: std::str::FromStr>(message: &Message, name: &str) -> T {
    let number = header(message, name).parse();
    number.unwrap_or_else(|_| panic!("no number in {name}"))
}

pub(super) fn body(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).expect("text")
}

/// A consumer that waits for an acknowledgement of each, from that place on.
fn from(start_sequence: u64) -> Config {
    Config {
        durable_name: Some(NAME.to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: IN_HAND,
        ..Config::default()
    }
}

async fn consumer(world: &World, config: Config) -> PullConsumer {
    let jetstream = world.client.jetstream();
    let made = jetstream.create_consumer_on_stream(config, STREAM).await;
    made.expect("a consumer")
}

async fn delete_consumer(world: &World) {
    let jetstream = world.client.jetstream();
    let deleted = jetstream.delete_consumer_from_stream(NAME, STREAM).await;
    deleted.expect("it was there");
}

/// Shows the reader what comes, until there is nothing that could still come or it did not want more at the end of a batch.
async fn read(consumer: &PullConsumer, mut wants_more: impl AsyncFnMut(Message) -> bool) {
    let all = async {
        let mut more = true;
        while more && left(consumer).await > 0 {
            for message in batch(consumer).await {
                more = wants_more(message).await;
            }
        }
    };
    timeout(PATIENCE, all).await.expect("it comes to an end");
}

/// What the consumer has not delivered yet or has no word about.
async fn left(consumer: &PullConsumer) -> u64 {
    let info = consumer.get_info().await.expect("it is there");
    info.num_pending + info.num_ack_pending as u64
}

/// What comes for one question.
async fn batch(consumer: &PullConsumer) -> Vec<Message> {
    let question = consumer.batch().max_messages(BATCH).expires(ASK_FOR);
    let answer = question.messages().await.expect("it is asked");
    let messages = answer.map(|message| message.expect("a message"));
    messages.collect().await
}

/// What whoever reads the log itself has in the end.
async fn story(world: &World) -> Vec<(String, String)> {
    let events = world.whole_log().await;
    let told = events.iter();
    told.map(|event| (event.stream.to_string(), event.data.get().to_owned()))
        .collect()
}
