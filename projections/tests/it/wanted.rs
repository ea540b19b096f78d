//! A view that has to be folded anew, and another rebuild that is in the way.

use std::cell::Cell;

use eventstore::testing::{TestLog, each_backend};
use projections::{Cutover, RebuildOptions, View};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::oracle::expected_without;
use crate::story::{Life, late_message, life, order_of};
use crate::verbs::{retried, running, say, skipped};
use crate::world::{Halted, SOON, World, append, stream_append};

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_is_wanted_while_another_one_is_under_way_comes_after_it() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let story = life(1, Life::Delivered);
        world.live(1, Life::Delivered).await;
        append(&world.log, story.order_id, &[late_message(1)]).await;
        let taken = world.log.head().await.unwrap();
        world.catch_up().await;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        // It will not take the live table's place, and has begun before the verb.
        let other = Halted::begin(&world.views, View::Customer, manual);
        let verb = skipped(View::Customer, story.order_id, taken);
        say(&world.log, View::Customer, verb).await;
        let wanted = async || {
            let status = world.views.status_of(View::Customer).await.unwrap();
            status.rebuild_wanted.is_some()
        };
        let other = Cell::new(Some(other));
        let orders = Cell::new(2);
        running(&world.views, async || {
            let number = orders.get();
            orders.set(number + 1);
            if number < 10 {
                // The projector goes on beside it, more than once after it has seen what is wanted.
                let last = world.live(number, Life::Open).await;
                let shown = world.views.wait_until(View::Customer, last, SOON);
                shown.await.unwrap();
                assert!(wanted().await, "nobody can have done it");
            } else if let Some(other) = other.take() {
                assert!(!other.end().await.unwrap().live);
            }
            number >= 10 && !wanted().await
        })
        .await;
        world.catch_up().await;
        let whole = expected_without(&world.log, &[taken]).await;
        assert_eq!(world.shown().await.customers, whole.customers);
    })
    .await;
}

/// Parks so many thousand events of an order.
async fn park(world: &World, order: Uuid, thousands: usize) {
    let strange = || {
        let data = RawValue::from_string(String::from("{}")).unwrap();
        stream_append("order", order, "OrderTeleported", 1, data)
    };
    for _ in 0..thousands {
        let mut append = strange();
        append
            .events
            .extend((1..1_000).flat_map(|_| strange().events));
        world.log.append(vec![append]).await.unwrap();
    }
}

#[tokio::test]
async fn more_than_can_be_taken_at_once_is_left_to_folding_anew_of_however_many_keys_it_is() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        for number in 1..=2 {
            world.live(number, Life::Open).await;
            park(&world, order_of(number), 6).await;
        }
        world.catch_up().await;
        for (key, wanted) in [(Some(order_of(1)), false), (None, true)] {
            say(&world.log, View::Customer, retried(View::Customer, key)).await;
            world.catch_up().await;
            let why = world.views.rebuild_wanted(View::Customer).await.unwrap();
            assert_eq!(why.is_some(), wanted, "{why:?}");
        }
        assert_eq!(world.views.parked_keys(View::Customer).await.unwrap(), 2);
    })
    .await;
}
