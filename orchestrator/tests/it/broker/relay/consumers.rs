//! Consumers of the stream as README has them: what comes twice, late, in another order or not at all, and a consumer that is gone half
//! way change nothing of what a reader makes of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use eventstore::testing::TestLog;
use futures_util::StreamExt as _;
use orchestrator::bus::relay::message::STREAM;
use tokio::time::timeout;

use super::readers::{Latest, Luck, Reader, Seen};
use super::world::{Running, World, settings};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::{PATIENCE, on_each_release};
use crate::soak;
use crate::storm::dice;

const NAME: &str = "reader";

/// Fewer where not all of it is done: whatever is lost is waited for. Of so many still some are.
fn events() -> usize {
    if soak::is_on() { 600 } else { 400 }
}

/// Short, so that what is not acknowledged comes again while the test runs.
const ACK_WAIT: Duration = Duration::from_millis(400);
/// In hand at once, and of that with one question, which stays open for so long.
const IN_HAND: i64 = 32;
const BATCH: usize = 16;
const ASK_FOR: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_to_whom_events_come_twice_takes_each_once() {
    let luck = Luck {
        twice: 10,
        ..Luck::GOOD
    };
    reads_all_with("twice", luck, |seen| seen.twice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_to_whom_events_come_late_takes_what_is_next_all_the_same() {
    let luck = Luck {
        late: 10,
        ..Luck::GOOD
    };
    reads_all_with("late", luck, |seen| seen.late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_to_whom_events_come_in_another_order_takes_them_in_that_of_the_log() {
    let luck = Luck {
        reordered: 10,
        ..Luck::GOOD
    };
    reads_all_with("reordered", luck, |seen| seen.overtaken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_to_whom_events_are_lost_on_the_way_takes_them_when_they_come_again() {
    let luck = Luck {
        lost: 3,
        ..Luck::GOOD
    };
    reads_all_with("lost", luck, |seen| seen.lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_consumer_is_deleted_half_way_goes_on_from_its_own_place() {
    on_each_release(async |release| {
        let (_server, world, relay) = filled(release).await;
        let mut reader = Reader::new(dice(12, 0), Luck::BAD);
        let first = consumer(&world, from(reader.next())).await;
        read(&first, async |messages| {
            reader.see_all(messages).await;
            reader.story.len() < events() / 2
        })
        .await;
        let in_hand = batch(&first).await;
        delete_consumer(&world).await;
        assert!(!in_hand.is_empty());
        // What it says goes nowhere now; what it takes it has.
        reader.see_all(in_hand).await;
        let second = consumer(&world, from(reader.next())).await;
        read_to_the_end(&second, &mut reader).await;
        assert_eq!(reader.story, story(&world).await);
        reader.seen().of_all_kinds();
        relay.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_type_that_keeps_the_highest_version_of_each_stream_ends_as_the_log_does() {
    on_each_release(async |release| {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let relay = world.relay(settings()).await;
        for _ in 0..4 {
            let mut events = World::events(events() / 4);
            for event in events.iter_mut().step_by(2) {
                event.event_type = "Noted".into();
            }
            world.append_events(events).await;
        }
        world.caught_up().await;
        // It waits for nothing that is lost, so that more may be.
        let luck = Luck {
            lost: 10,
            ..Luck::BAD
        };
        let mut latest = Latest::new(dice(13, 0), luck);
        let noted = Config {
            filter_subject: "bookmarket.events.order.Noted".to_owned(),
            ..from(1)
        };
        let consumer = consumer(&world, noted).await;
        read(&consumer, async |messages| {
            latest.see_all(messages).await;
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
        latest.seen().of_all_kinds();
        relay.stop().await;
    })
    .await;
}

/// A reader with this luck has all of the log in the end, and so much of it did happen to it.
#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn reads_all_with(kind: &str, luck: Luck, happened: fn(&Seen) -> usize) {
    on_each_release(async |release| {
        let (_server, world, relay) = filled(release).await;
        let mut reader = Reader::new(dice(11, 0), luck);
        let consumer = consumer(&world, from(reader.next())).await;
        read_to_the_end(&consumer, &mut reader).await;
        let (log, befell) = (story(&world).await, happened(&reader.seen()));
        let (twice, missing) = tally(&reader.story, &log);
        println!(
            "figure: events kind={kind} broker={release} events={} befell={befell} taken-twice={twice} lost={missing}",
            log.len()
        );
        assert!(befell > 0, "{release:?}: {:?}", reader.seen());
        assert_eq!(reader.story, log, "{release:?}: {:?}", reader.seen());
        relay.stop().await;
    })
    .await;
}

/// What was taken more than once, and what was not taken.
fn tally(taken: &[(String, String)], log: &[(String, String)]) -> (usize, usize) {
    let distinct: BTreeSet<_> = taken.iter().collect();
    let missing = log.iter().filter(|event| !distinct.contains(event));
    (taken.len() - distinct.len(), missing.count())
}

/// A broker that has so many events of a log, of which one relay keeps it up to date.
async fn filled(release: Release) -> (NatsServer, World, Running) {
    let server = NatsServer::start(release);
    let (world, relay) = World::relayed(&server.url(), events()).await;
    (server, world, relay)
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

/// Shows the reader everything that comes.
async fn read_to_the_end(consumer: &PullConsumer, reader: &mut Reader) {
    read(consumer, async |messages| {
        reader.see_all(messages).await;
        true
    })
    .await;
}

/// Shows what comes for each question, until there is nothing that could still come or no more is wanted.
async fn read(consumer: &PullConsumer, mut wants_more: impl AsyncFnMut(Vec<Message>) -> bool) {
    let all = async {
        let mut more = true;
        while more && left(consumer).await > 0 {
            more = wants_more(batch(consumer).await).await;
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
