//! A rebuild that was cut off is taken up where it was safe.

use std::time::Duration;

use eventstore::Position;
use eventstore::testing::{TestLog, each_backend};
use projections::{
    Cutover, Options, Projections, RebuildError, RebuildOptions, RebuildReport, View, ViewOf,
};
use serde_json::value::RawValue;
use tokio::time::timeout;
use uuid::Uuid;

use crate::oracle::{all_events, expected, expected_without, fold};
use crate::own::{Counts, counts};
use crate::story::{Life, order_of};
use crate::verbs::{say, skipped};
use crate::world::{World, literal, shown, stream_append, tamper, tell_late, tell_many};

/// A checkpoint after every round, so that every moment comes before and after one.
pub(crate) fn options(resume: bool) -> RebuildOptions {
    RebuildOptions {
        workers: 2,
        resume,
        checkpoint_every: Duration::ZERO,
        ..RebuildOptions::default()
    }
}

/// Cuts a rebuild off again and again, each time a little later, until it is through. Returns how often.
async fn in_pieces(
    mut rebuild: impl AsyncFnMut(&RebuildOptions) -> Result<RebuildReport, RebuildError>,
) -> usize {
    let mut resume = false;
    let mut cut = 0;
    for micros in (1..).map(|piece| piece * 3_000) {
        match timeout(Duration::from_micros(micros), rebuild(&options(resume))).await {
            Ok(Ok(_)) => return cut,
            // What was cut off on another thread gives its claim back when it gets there.
            Ok(Err(RebuildError::Running { .. })) => {}
            Ok(Err(RebuildError::NothingToResume { .. })) => resume = false,
            Ok(Err(error)) => panic!("{error}"),
            Err(_elapsed) => {
                cut += 1;
                resume = true;
            }
        }
    }
    unreachable!("the pieces grow")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_cut_off_anywhere_and_resumed_folds_the_same_rows() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..200).await;
        for number in 0..40 {
            tell_late(&world.log, number).await;
        }
        let location = world.at.location();
        let tight = Options {
            rows_in_memory: 60,
            ..Options::default()
        };
        let views = Projections::open_with(&location, world.log.clone(), tight)
            .await
            .unwrap();
        let own = ViewOf::<Counts>::open(&location, world.log.clone())
            .await
            .unwrap();
        let mut cut = in_pieces(async |options| own.rebuild_with(options, |_| {}).await).await;
        for view in [View::Customer, View::Message] {
            let rebuild = async |options: &_| views.rebuild_with(view, options, |_| {}).await;
            cut += in_pieces(rebuild).await;
        }
        assert!(cut > 10, "only {cut} rebuilds were cut off");
        views.rebuild(View::Saga, |_| {}).await.unwrap();
        assert!(shown(&views).await == expected(&world.log).await);
        assert!(counts(&own).await == fold::<Counts>(&all_events(&world.log).await));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_rebuild_reads_only_what_comes_after_its_checkpoint() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..20).await;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let built = world.views.rebuild_with(view, &manual, |_| {}).await;
        let built = built.unwrap();
        tell_many(&world.log, 20..30).await;
        let mut seen = Vec::new();
        let resumed = world
            .views
            .rebuild_with(view, &options(true), |progress| {
                seen.push(progress.position)
            })
            .await
            .unwrap();
        assert_eq!(resumed.generation, built.generation);
        assert_eq!(seen.first(), Some(&built.position));
        assert_eq!(resumed.position, world.log.head().await.unwrap());
        world.catch_up().await;
        assert!(world.shown().await == expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_cut_off_in_its_first_writes_is_taken_up_again() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        for number in 0..20 {
            world.live(number, Life::Open).await;
        }
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let built = world.views.rebuild_with(view, &manual, |_| {}).await;
        let built = built.unwrap();
        // As if it had ended after the first rows and before their index and the first checkpoint.
        let nil = literal(&world.at, Uuid::nil());
        let cut_off = format!(
            "DROP INDEX view_customer_{}_key;
             UPDATE projection_generations SET position = 0, event_id = {nil} WHERE state = 'building'",
            built.generation
        );
        tamper(&world.at, &cut_off);
        for number in 0..20 {
            tell_late(&world.log, number).await;
        }
        let resumed = world.views.rebuild_with(view, &options(true), |_| {}).await;
        let resumed = resumed.unwrap();
        assert!(resumed.live && resumed.generation == built.generation);
        world.catch_up().await;
        assert!(world.shown().await == expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_without_cutover_changes_nothing_until_it_is_resumed() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let report = world.views.rebuild_with(view, &manual, |_| {}).await;
        assert!(!report.unwrap().live);
        let position = world.views.position(view).await.unwrap();
        assert_eq!(position, Position::ZERO, "the live table is another one");
        let report = world.views.rebuild_with(view, &options(true), |_| {}).await;
        assert!(report.unwrap().live);
        let head = world.log.head().await.unwrap();
        assert_eq!(world.views.position(view).await.unwrap(), head);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_resumed_is_told_and_a_rebuild_anew_drops_it() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..10).await;
        let view = View::Customer;
        let resume = async || {
            world
                .views
                .rebuild_with(view, &options(true), |_| {})
                .await
                .unwrap_err()
        };
        let nothing = resume().await;
        assert!(matches!(nothing, RebuildError::NothingToResume { .. }));

        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        world
            .views
            .rebuild_with(view, &manual, |_| {})
            .await
            .unwrap();
        let building = "UPDATE projection_generations SET version = 0 WHERE state = 'building'";
        tamper(&world.at, building);
        let other = resume().await;
        assert!(matches!(other, RebuildError::OtherVersion { found: 0, .. }));

        world.views.rebuild(view, |_| {}).await.unwrap();
        let nothing = resume().await;
        assert!(matches!(nothing, RebuildError::NothingToResume { .. }));

        world
            .views
            .rebuild_with(view, &manual, |_| {})
            .await
            .unwrap();
        let other_log = World::open(match &world.at {
            TestLog::Postgres(_) => TestLog::postgres(),
            TestLog::Sqlite(_) => TestLog::sqlite(),
        })
        .await;
        tell_many(&other_log.log, 10..20).await;
        let views = Projections::open(&world.at.location(), other_log.log.clone())
            .await
            .unwrap();
        let error = views.rebuild_with(view, &options(true), |_| {}).await;
        assert!(matches!(error, Err(RebuildError::OtherLog { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_definition_has_changed_goes_on_with_what_was_begun() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..10).await;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let begun = world.views.rebuild_with(view, &manual, |_| {}).await;
        tamper(
            &world.at,
            "UPDATE projection_generations SET version = 0 WHERE state = 'live'",
        );
        world.catch_up().await;
        let report = world.views.rebuild(view, |_| {}).await.unwrap();
        assert_eq!(report.generation, begun.unwrap().generation + 1);
        assert!(world.shown().await == expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_has_gone_past_what_was_left_out_since_begins_anew() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..10).await;
        let data = RawValue::from_string(String::from("{}")).unwrap();
        let poison = stream_append("order", order_of(2), "Teleported", 1, data);
        let poison = world.log.append(vec![poison]).await.unwrap().last;
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let view = View::Customer;
        let built = world.views.rebuild_with(view, &manual, |_| {}).await;
        assert_eq!(built.unwrap().parked_events, 1);
        say(&world.log, view, skipped(view, order_of(2), poison)).await;
        let resumed = world.views.rebuild_with(view, &options(true), |_| {}).await;
        assert!(matches!(resumed, Err(RebuildError::SkippedSince { .. })));
        let anew = world.views.rebuild(view, |_| {}).await.unwrap();
        assert_eq!(anew.parked_events, 0);
        world.catch_up().await;
        let expected = expected_without(&world.log, &[poison]).await;
        assert!(world.shown().await.customers == expected.customers);
    })
    .await;
}
