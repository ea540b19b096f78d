//! A rebuild held against the live table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use eventstore::testing::{TestLog, each_backend};
use projections::{Phase, RebuildError, RebuildOptions, RebuildReport, Verification, View};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::oracle::expected;
use crate::story::{Life, order_of};
use crate::world::{World, tamper, tell, tell_many};

const SOON: Duration = Duration::from_secs(20);

fn verifying() -> RebuildOptions {
    RebuildOptions {
        verify: true,
        workers: 2,
        ..RebuildOptions::default()
    }
}

async fn rebuild(world: &World, options: &RebuildOptions) -> Result<RebuildReport, RebuildError> {
    let view = View::Customer;
    world.views.rebuild_with(view, options, |_| {}).await
}

/// Says something else than the log about a customer's row of the first table.
fn drift(world: &World, number: u64) {
    let key = order_of(number);
    match &world.at {
        TestLog::Postgres(_) => tamper(
            &world.at,
            &format!(
                "UPDATE view_customer_1 SET doc = jsonb_set(doc::jsonb, '{{total}}', '1')::json WHERE key = '{key}'"
            ),
        ),
        TestLog::Sqlite(_) => tamper(
            &world.at,
            &format!(
                "UPDATE view_customer_1 SET doc = json_set(doc, '$.total', 1) WHERE key = x'{}'",
                key.simple()
            ),
        ),
    }
}

fn keys(verification: &Verification) -> Vec<Uuid> {
    let rows = verification.differences.iter();
    rows.map(|row| row.key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_exactly_the_rows_that_have_drifted() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..200).await;
        world.catch_up().await;
        let mut drifted: Vec<Uuid> = (0..10).map(|nth| order_of(nth * 17)).collect();
        drifted.sort_unstable();
        for nth in 0..10 {
            drift(&world, nth * 17);
        }
        let report = rebuild(&world, &verifying()).await.unwrap();
        let found = report.verification.unwrap();
        assert_eq!((found.differing, keys(&found)), (10, drifted));
        assert_eq!((found.live_rows, found.rebuilt_rows), (200, 200));
        assert_eq!(found.position, world.log.head().await.unwrap());
        for row in &found.differences {
            assert_eq!((row.fields.len(), row.more_fields), (1, 0));
            assert_eq!(row.fields[0].field, "doc.total");
            assert_eq!(row.fields[0].old, Some(json!(1)));
            assert_ne!(row.fields[0].new, Some(json!(1)));
        }

        // What differs is not live before somebody says so.
        assert!(!report.live);
        assert!(world.shown().await != expected(&world.log).await);
        let resume = RebuildOptions {
            resume: true,
            ..RebuildOptions::default()
        };
        let resumed = rebuild(&world, &resume).await.unwrap();
        assert!(resumed.live && resumed.generation == report.generation);
        assert!(world.shown().await == expected(&world.log).await);
        let again = rebuild(&world, &verifying()).await.unwrap();
        assert!(again.live && again.verification.unwrap().differing == 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_too_many_and_a_row_too_few_and_one_that_is_unreadable_are_differences() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..30).await;
        world.catch_up().await;
        let (many, few, text) = (Uuid::from_u128(7), order_of(3), order_of(4));
        let literal = |key: Uuid| match &world.at {
            TestLog::Postgres(_) => format!("'{key}'"),
            TestLog::Sqlite(_) => format!("x'{}'", key.simple()),
        };
        tamper(
            &world.at,
            &format!(
                "DELETE FROM view_customer_1 WHERE key = {};
             UPDATE view_customer_1 SET doc = '\"rubbish\"' WHERE key = {};
             INSERT INTO view_customer_1 (key, seq, position, doc) VALUES ({}, 1000000, 1, '{{}}')",
                literal(few),
                literal(text),
                literal(many)
            ),
        );
        let report = rebuild(&world, &verifying()).await.unwrap();
        let found = report.verification.unwrap();
        let mut expected = vec![many, few, text];
        expected.sort_unstable();
        assert_eq!(keys(&found), expected);
        assert_eq!((found.differing, found.live_rows), (3, 30));
        let of = |key| found.differences.iter().find(|row| row.key == key).unwrap();
        assert_eq!(
            (of(many).fields[0].new.clone(), of(many).fields.len()),
            (None, 1)
        );
        assert_eq!(
            (of(few).fields[0].old.clone(), of(few).fields.len()),
            (None, 1)
        );
        assert_eq!(of(text).fields[0].field, "doc");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_differs_while_orders_come_in_and_the_live_projector_goes_on() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..50).await;
        world.catch_up().await;
        let stop = CancellationToken::new();
        let projector = {
            let (views, stop) = (world.views.clone(), stop.clone());
            tokio::spawn(async move { views.run(View::Customer, stop).await })
        };
        let written = Arc::new(AtomicU64::new(50));
        let writer = {
            let (log, stop, written) = (world.log.clone(), stop.clone(), Arc::clone(&written));
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let number = written.fetch_add(1, Ordering::Relaxed);
                    tell(&log, number, Life::ALL[(number % 8) as usize]).await;
                }
            })
        };
        let mut last = 0;
        for _ in 0..5 {
            let report = rebuild(&world, &verifying()).await.unwrap();
            let found = report.verification.unwrap();
            assert_eq!((found.differing, report.live), (0, true));
            assert!(found.position.0 > last && found.live_rows == found.rebuilt_rows);
            last = found.position.0;
            let enough = written.load(Ordering::Relaxed) + 3;
            let more_orders = async {
                while written.load(Ordering::Relaxed) < enough {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(SOON, more_orders).await.expect("orders come in");
        }
        stop.cancel();
        writer.await.unwrap();
        projector.await.unwrap();
        world.catch_up().await;
        assert!(world.shown().await == expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_table_is_compared_where_it_stands_and_the_new_one_goes_on() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..20).await;
        world.catch_up().await;
        let behind = world.log.head().await.unwrap();
        tell_many(&world.log, 20..40).await;
        let report = rebuild(&world, &verifying()).await.unwrap();
        let found = report.verification.unwrap();
        assert_eq!((found.position, found.differing), (behind, 0));
        assert_eq!(report.position, world.log.head().await.unwrap());

        let other = World::open(TestLog::sqlite()).await;
        other.live(77, Life::Open).await;
        let views = projections::Projections::open(&world.at.location(), other.log.clone())
            .await
            .unwrap();
        let refused = views
            .rebuild_with(View::Customer, &verifying(), |_| {})
            .await
            .unwrap_err();
        assert!(matches!(refused, RebuildError::NothingToVerify { .. }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_projector_is_not_held_while_rows_are_compared() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..20).await;
        world.catch_up().await;
        let (compares, now_compares) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let rebuild = {
            let views = world.views.clone();
            tokio::spawn(async move {
                let mut looks = 0;
                // Told once before the live table is held, and once after.
                let pause = move |progress: projections::RebuildProgress| {
                    looks += usize::from(progress.phase == Phase::Comparing);
                    if looks == 2 {
                        looks += 1;
                        compares.send(()).unwrap();
                        tokio::task::block_in_place(|| may_go.recv().unwrap());
                    }
                };
                views
                    .rebuild_with(View::Customer, &verifying(), pause)
                    .await
            })
        };
        tokio::task::block_in_place(|| now_compares.recv_timeout(SOON).unwrap());
        let before = world.log.head().await.unwrap();
        let last = world.live(100, Life::Delivered).await;
        let caught_up = world.views.run_until_caught_up(View::Customer);
        assert_eq!(timeout(SOON, caught_up).await.unwrap().unwrap(), last);
        go.send(()).unwrap();
        let report = rebuild.await.unwrap().unwrap();
        let found = report.verification.unwrap();
        assert_eq!((found.position, found.differing), (before, 0));
        assert_eq!((report.position, report.live), (last, true));
    })
    .await;
}
