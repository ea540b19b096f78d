//! One event that does not fit, among many that do.

use std::time::{Duration, Instant};

use eventstore::testing::{TestLog, each_backend};
use eventstore::{EventStore, Position};
use projections::customer::OrderStatus;
use projections::{Projections, View};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::oracle::expected_without;
use crate::soak;
use crate::story::{Life, life, order_of};
use crate::verbs::{say, skipped};
use crate::world::{SOON, World, append, stream_append, tell};

/// Events in the log, about.
const EVENTS: u64 = 100_000;

/// A delivered order's, of all its streams.
const EVENTS_OF_AN_ORDER: u64 = 17;

/// From which the order is drawn that is poisoned.
const SEED: u64 = 5;

/// Orders that are told at once.
const WRITERS: u64 = 2;

/// Longest that a view may be behind, for all but one event in a hundred.
const LAG_MAX: Duration = Duration::from_secs(1);

/// What no build knows.
const POISON: &str = "OrderTeleported";

/// When the log had reached a position, and when a view had.
#[derive(Default)]
struct Reached(Vec<(Position, Instant)>);

impl Reached {
    fn note(&mut self, position: Position) {
        if self.0.last().is_none_or(|(last, _)| *last < position) {
            self.0.push((position, Instant::now()));
        }
    }
}

/// Tells the orders, one of them with something that does not fit, and when each was in the log.
async fn write(
    log: EventStore,
    orders: impl Iterator<Item = u64>,
    sick: u64,
) -> Vec<(Position, Instant)> {
    let mut stored = Vec::new();
    for number in orders {
        let last = match number == sick {
            true => tell_poisoned(&log, number).await,
            false => tell(&log, number, Life::Delivered).await,
        };
        stored.push((last, Instant::now()));
    }
    stored
}

/// Tells an order that something befalls after its beginning.
async fn tell_poisoned(log: &EventStore, number: u64) -> Position {
    let story = life(number, Life::Delivered);
    append(log, story.order_id, &story.appends[0]).await;
    let data = RawValue::from_string(String::from("{}")).unwrap();
    let poison = stream_append("order", story.order_id, POISON, 1, data);
    let mut last = log.append(vec![poison]).await.unwrap().last;
    for events in &story.appends[1..] {
        last = append(log, story.order_id, events).await;
    }
    last
}

/// How long each of these was in the log before the view had it, sorted.
fn lags(mut stored: Vec<(Position, Instant)>, view: &Reached) -> Vec<Duration> {
    stored.sort_unstable();
    let mut reached = view.0.iter().peekable();
    let mut lags = Vec::with_capacity(stored.len());
    for (position, at) in stored {
        while reached.next_if(|(seen, _)| *seen < position).is_some() {}
        let (_, seen_at) = reached.peek().expect("the view has come to the end");
        lags.push(seen_at.saturating_duration_since(at));
    }
    lags.sort_unstable();
    lags
}

/// Follows a view until it has come to the position that is sent in the end.
async fn follow(views: Projections, mut end: tokio::sync::watch::Receiver<Position>) -> Reached {
    let mut reached = Reached::default();
    loop {
        let at = views.position(View::Customer).await.unwrap();
        reached.note(at);
        let end = *end.borrow_and_update();
        if end > Position::ZERO && at >= end {
            return reached;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Where the one event is that parks the one key, with others before and behind it.
async fn only_parked(world: &World, sick: u64, head: Position) -> Position {
    let status = world.views.status_of(View::Customer).await.unwrap();
    assert_eq!(
        (status.parked_keys, status.parked[0].key),
        (1, order_of(sick))
    );
    let first = &status.parked[0].first;
    assert!(first.reason.contains(POISON), "{first:?}");
    assert!(status.parked[0].events > 5, "what follows is parked too");
    let middle = head.0 / 4..head.0 * 3 / 4;
    assert!(middle.contains(&first.position.0), "{first:?} of {head}");
    first.position
}

async fn check(at: TestLog) {
    let world = World::open(at).await;
    let stop = CancellationToken::new();
    let running = {
        let (views, stop) = (world.views.clone(), stop.clone());
        tokio::spawn(async move { views.run(View::Customer, stop).await })
    };
    let (end, ended) = tokio::sync::watch::channel(Position::ZERO);
    let following = tokio::spawn(follow(world.views.clone(), ended));
    let orders = soak::size(EVENTS) / EVENTS_OF_AN_ORDER;
    let sick = fastrand::Rng::with_seed(SEED).u64(orders / 3..orders * 2 / 3);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let of_writer = (1..=orders).filter(move |number| number % WRITERS == writer);
        writers.spawn(write(world.log.clone(), of_writer, sick));
    }
    let stored = writers.join_all().await.concat();
    let head = world.log.head().await.unwrap();
    end.send(head).unwrap();
    let view = tokio::time::timeout(SOON, following)
        .await
        .expect("in time")
        .unwrap();
    let lags = lags(stored, &view);
    let p99 = lags[lags.len() * 99 / 100];
    let poisoned = only_parked(&world, sick, head).await;
    for row in world.shown().await.customers {
        let is_sick = row.order_id == order_of(sick);
        let expected = [OrderStatus::Delivered, OrderStatus::Pending][usize::from(is_sick)];
        assert_eq!(row.status, expected, "{}", row.order_id);
    }

    let sick = order_of(sick);
    let skip = skipped(View::Customer, sick, poisoned);
    let released = say(&world.log, View::Customer, skip).await;
    world
        .views
        .wait_until(View::Customer, released, SOON)
        .await
        .unwrap();
    stop.cancel();
    running.await.unwrap();
    let status = world.views.status_of(View::Customer).await.unwrap();
    assert_eq!(status.parked_keys, 0);
    let shown = world.shown().await.customers;
    let equal = shown == expected_without(&world.log, &[poisoned]).await.customers;
    let backend = world.log.backend_name();
    soak::figure(&format!(
        "one poison event: backend={backend} events={head} at={poisoned} parked-keys=1 lag-p99={p99:?} digest-equal-after-release={equal}"
    ));
    assert!(equal);
    assert!(p99 <= LAG_MAX, "{p99:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_event_parks_one_key_holds_up_no_other_and_is_released_without_a_trace() {
    each_backend(check).await;
}
