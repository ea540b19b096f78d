//! Whether a table that a rebuild has left behind can still be taken up, and by whom.

use eventstore::Position;
use eventstore::testing::{TestLog, each_backend};
use projections::{Cutover, RebuildError, RebuildOptions, View};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::oracle::{expected, expected_without};
use crate::resume::options;
use crate::story::{Life, order_of};
use crate::verbs::{say, skipped};
use crate::world::{SOON, World, literal, tamper, tell_late, tell_many};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_ahead_has_taken_what_was_left_out_since_so_the_rebuild_begins_anew() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        for number in 0..10 {
            world.live(number, Life::Delivered).await;
        }
        let checkpoint = world.log.head().await.unwrap();
        tell_late(&world.log, 2).await;
        let taken = world.log.head().await.unwrap();
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let rebuild = async |options: &_| world.views.rebuild_with(view, options, |_| {}).await;
        rebuild(&manual).await.unwrap();
        // As if it had been cut off when its rows were written and its last checkpoint was not.
        let before = Position(checkpoint.0 - 1);
        let last = world.log.read_all(before, 1, None).await.unwrap();
        let id = literal(&world.at, last.events[0].event_id);
        let set_back = format!(
            "UPDATE projection_generations SET position = {checkpoint}, event_id = {id}
             WHERE state = 'building'"
        );
        tamper(&world.at, &set_back);
        say(&world.log, view, skipped(view, order_of(2), taken)).await;
        let resumed = rebuild(&options(true)).await;
        assert!(matches!(resumed, Err(RebuildError::SkippedSince { .. })));

        // A view whose definition has changed does not ask anybody.
        world.catch_up().await;
        let age = "UPDATE projection_generations SET version = 0 WHERE state = 'live'";
        tamper(&world.at, age);
        world.catch_up().await;
        let without = expected_without(&world.log, &[taken]).await;
        assert!(world.shown().await.customers == without.customers);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_out_before_a_rebuild_began_does_not_keep_it_from_being_taken_up() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..10).await;
        tell_late(&world.log, 2).await;
        let taken = world.log.head().await.unwrap();
        let view = View::Customer;
        say(&world.log, view, skipped(view, order_of(2), taken)).await;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let rebuild = async |options: &_| world.views.rebuild_with(view, options, |_| {}).await;
        let built = rebuild(&manual).await.unwrap();
        let nil = literal(&world.at, Uuid::nil());
        let set_back = format!(
            "UPDATE projection_generations SET position = 0, event_id = {nil} WHERE state = 'building'"
        );
        tamper(&world.at, &set_back);
        let resumed = rebuild(&options(true)).await.unwrap();
        assert_eq!(resumed.generation, built.generation);
        let without = expected_without(&world.log, &[taken]).await;
        assert!(world.shown().await.customers == without.customers);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_build_has_begun_is_begun_anew() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..10).await;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let rebuild = async |options: &_| world.views.rebuild_with(view, options, |_| {}).await;
        rebuild(&manual).await.unwrap();
        for build in ["NULL", "'0.0.1'"] {
            let other = format!(
                "UPDATE projection_generations SET build = {build} WHERE state = 'building'"
            );
            tamper(&world.at, &other);
            let resumed = rebuild(&options(true)).await;
            assert!(matches!(resumed, Err(RebuildError::OtherBuild { .. })));
        }
        tamper(
            &world.at,
            "UPDATE projection_generations SET version = 0 WHERE state = 'live'",
        );
        world.catch_up().await;
        assert!(world.shown().await == expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_waits_for_an_operator_is_still_there_after_the_view_was_folded_anew_by_itself()
 {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..10).await;
        world.catch_up().await;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let rebuild = async |options: &_| world.views.rebuild_with(view, options, |_| {}).await;
        let waiting = rebuild(&manual).await.unwrap();
        // What an event that was taken and then left out leads to.
        tamper(
            &world.at,
            "UPDATE projection_generations SET rebuild_wanted = 'so' WHERE view = 'customer' AND state = 'live'",
        );
        let stop = CancellationToken::new();
        let running = {
            let (views, stop) = (world.views.clone(), stop.clone());
            tokio::spawn(async move { views.run(view, stop).await })
        };
        let folded = async {
            while world.views.rebuild_wanted(view).await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, folded).await.unwrap();
        stop.cancel();
        running.await.unwrap();
        let resumed = rebuild(&options(true)).await.unwrap();
        assert!(resumed.live && resumed.generation == waiting.generation);
        assert!(world.shown().await.customers == expected(&world.log).await.customers);
        // One that an operator asks for makes room for itself.
        rebuild(&manual).await.unwrap();
        rebuild(&RebuildOptions::default()).await.unwrap();
        let nothing = rebuild(&options(true)).await;
        assert!(matches!(nothing, Err(RebuildError::NothingToResume { .. })));
    })
    .await;
}
