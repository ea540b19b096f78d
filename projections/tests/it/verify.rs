//! A rebuild held against the live table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use eventstore::testing::{TestLog, each_backend};
use projections::{Phase, RebuildError, RebuildOptions, RebuildReport, Verification, View};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::oracle::expected;
use crate::story::{Life, order_of};
use crate::world::{SOON, World, literal, stream_append, tamper, tell, tell_many};

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

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_lists_are_searched_and_ordered_by() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..30).await;
        world.catch_up().await;
        let drifts = [
            (1, "customer_id", "'somebody'"),
            (2, "status", "NULL"),
            (3, "payment_status", "'Drifted'"),
            (4, "delivery_status", "'Lost'"),
            (5, "waybill", "'0'"),
            (6, "placed_at", "7"),
            (7, "changed", "NULL"),
            (8, "seq", "1000000"),
            (9, "position", "0"),
        ];
        for (number, column, value) in drifts {
            let key = literal(&world.at, order_of(number));
            tamper(
                &world.at,
                &format!("UPDATE view_customer_1 SET {column} = {value} WHERE key = {key}"),
            );
        }
        let report = rebuild(&world, &verifying()).await.unwrap();
        let found = report.verification.unwrap();
        let mut told: Vec<_> = found
            .differences
            .iter()
            .map(|row| (row.key, row.fields.len(), row.fields[0].field.as_str()))
            .collect();
        let mut planted = drifts.map(|(number, column, _)| (order_of(number), 1, column));
        told.sort_unstable();
        planted.sort_unstable();
        assert_eq!(told, planted);
        assert!(!report.live);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_a_key_that_stands_still_in_one_table_only() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..10).await;
        let data = RawValue::from_string(String::from("{}")).unwrap();
        for number in [2, 3] {
            let poison = stream_append("order", order_of(number), "Teleported", 1, data.clone());
            world.log.append(vec![poison]).await.unwrap();
        }
        world.catch_up().await;
        let clean = rebuild(&world, &verifying()).await.unwrap();
        assert_eq!(clean.verification.unwrap().differing, 0);
        // One that is parked in both, one that the live table does not know of, and one too many.
        let (lost, made_up) = (order_of(2), order_of(5));
        let (first, second) = (literal(&world.at, lost), literal(&world.at, made_up));
        tamper(
            &world.at,
            &format!(
                "DELETE FROM projection_parked WHERE view = 'customer' AND key = {first};
                 INSERT INTO projection_parked (view, generation, key, position, event_type, reason)
                 VALUES ('customer', {}, {second}, 1, 'x', 'x')",
                clean.generation
            ),
        );
        let report = rebuild(&world, &verifying()).await.unwrap();
        let found = report.verification.unwrap();
        let mut expected = vec![lost, made_up];
        expected.sort_unstable();
        assert_eq!((found.differing, keys(&found)), (2, expected));
        let of = |key| found.differences.iter().find(|row| row.key == key).unwrap();
        assert_eq!(of(lost).fields[0].field, "parked");
        assert_eq!(of(lost).fields[0].old, None);
        assert_eq!(
            of(made_up).fields[0].old,
            Some(json!({ "events": 1, "since": 1 }))
        );
        assert!(!report.live);
    })
    .await;
}
