//! What an older build left behind because it did not know a type of event.

use std::fmt::Write as _;

use eventstore::testing::{TestLog, each_backend};
use eventstore::{Position, RecordedEvent};
use projections::{Cause, View};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::oracle::expected;
use crate::story::{Life, late_message, life, order_of};
use crate::verbs::running;
use crate::world::{SOON, World, append, literal, tamper};

/// As if a build had kept the customer view that knew none of these events: they are parked in order, and
/// the view has come to the end of the log.
async fn left_parked(world: &World, key: Uuid, events: &[RecordedEvent], causes: bool) {
    let mut sql = String::new();
    let by = literal(&world.at, key);
    for (nth, event) in events.iter().enumerate() {
        let RecordedEvent {
            position,
            event_type,
            schema_version,
            ..
        } = event;
        let (cause, version) = match (causes, nth) {
            (false, _) => (String::from("NULL"), String::from("NULL")),
            (true, 0) => (String::from("'unknown'"), schema_version.to_string()),
            (true, _) => (String::from("'follows'"), schema_version.to_string()),
        };
        let _ = writeln!(
            sql,
            "INSERT INTO projection_parked (view, generation, key, position, event_type, reason, cause, schema_version)
             VALUES ('customer', 1, {by}, {position}, '{event_type}', 'of old', {cause}, {version});"
        );
    }
    let head = world.log.head().await.unwrap();
    let last = world
        .log
        .read_all(Position(head.0 - 1), 1, None)
        .await
        .unwrap();
    let id = literal(&world.at, last.events[0].event_id);
    let _ = writeln!(
        sql,
        "UPDATE projection_generations SET position = {head}, event_id = {id} WHERE view = 'customer';"
    );
    tamper(&world.at, &sql);
}

/// An order that the older build knew only the beginning of.
async fn half_known(world: &World, number: u64) -> Vec<RecordedEvent> {
    let story = life(number, Life::Delivered);
    append(&world.log, story.order_id, &story.appends[0]).await;
    world.catch_up().await;
    rest_of(world, number).await
}

/// Writes what comes after an order's beginning, and gives what the view is to take of it.
async fn rest_of(world: &World, number: u64) -> Vec<RecordedEvent> {
    let story = life(number, Life::Delivered);
    let known = world.log.head().await.unwrap();
    for events in &story.appends[1..] {
        append(&world.log, story.order_id, events).await;
    }
    let rest = world.log.read_all(known, 1_000, None).await.unwrap().events;
    let ours = ["order", "payment", "delivery", "kakao"];
    let of_view = |event: &RecordedEvent| ours.contains(&event.stream.category.as_str());
    rest.into_iter().filter(of_view).collect()
}

#[tokio::test]
async fn what_an_older_build_did_not_know_is_taken_at_start_by_one_that_does() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let unknown = half_known(&world, 1).await;
        left_parked(&world, order_of(1), &unknown, true).await;
        let before = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(before.parked[0].first.cause, Some(Cause::Unknown));
        assert_eq!(before.parked[0].events, unknown.len() as u64);

        world.catch_up().await;
        let after = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!((after.parked_keys, after.lag), (0, 0));
        let row = world
            .views
            .customer_row(order_of(1))
            .await
            .unwrap()
            .unwrap();
        let told: Vec<_> = row.timeline.iter().map(|entry| &*entry.event).collect();
        assert!(told.ends_with(&["Delivered", "OrderDelivered"]), "{told:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_to_be_taken_key_by_key_is_taken_by_folding_the_view_anew() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let too_many = 0..101;
        for number in too_many.clone() {
            let story = life(number, Life::Delivered);
            append(&world.log, story.order_id, &story.appends[0]).await;
        }
        world.catch_up().await;
        for number in too_many {
            let unknown = rest_of(&world, number).await;
            left_parked(&world, order_of(number), &unknown, true).await;
        }
        running(&world.views, async || {
            world.views.parked_keys(View::Customer).await.unwrap() == 0
        })
        .await;
        let wanted = world.views.rebuild_wanted(View::Customer).await.unwrap();
        assert_eq!(wanted, None);
        world.catch_up().await;
        let whole = expected(&world.log).await.customers;
        assert!(world.shown().await.customers == whole, "as a fresh replay");
    })
    .await;
}

#[tokio::test]
async fn what_is_known_now_is_taken_however_much_before_it_is_not() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let unknown = half_known(&world, 1).await;
        left_parked(&world, order_of(1), &unknown, true).await;
        let other = literal(&world.at, order_of(2));
        tamper(
            &world.at,
            &format!(
                "INSERT INTO projection_parked (view, generation, key, position, event_type, reason, cause, schema_version)
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                 SELECT 'customer', 1, {other}, -i, 'OrderTeleported', 'of old', 'unknown', 1 FROM n"
            ),
        );
        world.catch_up().await;
        let status = world.views.status_of(View::Customer).await.unwrap();
        let left: Vec<_> = status.parked.iter().map(|parked| parked.key).collect();
        assert_eq!(left, [order_of(2)]);
    })
    .await;
}

#[tokio::test]
async fn what_was_parked_before_causes_were_kept_is_taken_when_an_operator_says_so() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let unknown = half_known(&world, 1).await;
        left_parked(&world, order_of(1), &unknown, false).await;
        world.catch_up().await;
        let before = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(
            (before.parked_keys, before.parked[0].first.cause),
            (1, None)
        );

        let verb = crate::verbs::retried(View::Customer, Some(order_of(1)));
        crate::verbs::say(&world.log, View::Customer, verb).await;
        world.catch_up().await;
        let after = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(after.parked_keys, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_take_the_same_at_once_take_it_once() {
    let world = World::open(TestLog::postgres()).await;
    let second = world.second().await;
    for number in 0..30 {
        let unknown = half_known(&world, number).await;
        left_parked(&world, order_of(number), &unknown, true).await;
        let verb = crate::verbs::retried(View::Customer, None);
        crate::verbs::say(&world.log, View::Customer, verb).await;
        let (one, other) = tokio::join!(
            world.views.run_until_caught_up(View::Customer),
            second.run_until_caught_up(View::Customer)
        );
        one.unwrap();
        other.unwrap();
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(status.parked_keys, 0);
    }
    world.catch_up().await;
    world.views.rebuild(View::Customer, |_| {}).await.unwrap();
    assert_eq!(
        world.shown().await.customers,
        expected(&world.log).await.customers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_build_parks_behind_a_key_that_was_set_free_is_taken_by_the_next_one() {
    let world = World::open(TestLog::postgres()).await;
    let older = world.second().await;
    let unknown = half_known(&world, 1).await;
    // Nobody takes what has no cause, and whoever begins now remembers that the key stands still.
    left_parked(&world, order_of(1), &unknown, false).await;
    let stop = CancellationToken::new();
    let running = {
        let (older, stop) = (older.clone(), stop.clone());
        tokio::spawn(async move { older.run(View::Customer, stop).await })
    };
    let seen = world.live(2, Life::Delivered).await;
    older.wait_until(View::Customer, seen, SOON).await.unwrap();
    tamper(&world.at, "DELETE FROM projection_parked");
    left_parked(&world, order_of(1), &unknown, true).await;
    world.catch_up().await;
    let parked = async || world.views.parked_keys(View::Customer).await.unwrap();
    assert_eq!(parked().await, 0, "it was set free");

    let late = append(&world.log, order_of(1), &[late_message(1)]).await;
    older.wait_until(View::Customer, late, SOON).await.unwrap();
    assert_eq!(parked().await, 1, "the older build does not know");
    stop.cancel();
    running.await.unwrap();
    world.catch_up().await;
    assert_eq!(parked().await, 0);
    assert_eq!(
        world.shown().await.customers,
        expected(&world.log).await.customers
    );
}
