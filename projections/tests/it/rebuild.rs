//! A rebuild beside the live table: what readers see, who may, what is left when it is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use eventstore::Position;
use eventstore::testing::{TestLog, each_backend};
use projections::{CustomerFilter, Options, PageRequest, Projections, RebuildError, View};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::oracle::{draw, expected};
use crate::story::Life;
use crate::world::{SOON, World, tamper, tell, tell_late, tell_many};

#[tokio::test]
async fn progress_ends_at_the_head_and_never_goes_back() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        for number in 0..40 {
            world.live(number, Life::Delivered).await;
        }
        let head = world.log.head().await.unwrap();
        let mut seen = Vec::new();
        let report = world
            .views
            .rebuild(View::Customer, |progress| seen.push(progress))
            .await
            .unwrap();
        assert_eq!(
            (report.position, report.events, report.parked_events),
            (head, head.0, 0)
        );
        assert_eq!(seen.first().unwrap().position, Position::ZERO);
        assert_eq!(seen.last().unwrap().position, head);
        assert!(seen.is_sorted_by_key(|progress| progress.position));
        assert!(seen.iter().all(|progress| progress.total == head));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_while_orders_come_in_shows_readers_no_error_and_no_step_back() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        for number in 0..50 {
            world.live(number, Life::ALL[(number % 8) as usize]).await;
        }
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
        let reader = {
            let (views, stop) = (world.views.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut youngest, mut reads) = (Position::ZERO, 0);
                while !stop.is_cancelled() {
                    let request = PageRequest {
                        size: 1,
                        cursor: None,
                    };
                    let page = views
                        .customer_rows(&CustomerFilter::default(), &request)
                        .await
                        .unwrap();
                    assert!(page.position >= youngest, "the view went back");
                    youngest = page.position;
                    let oldest = views.customer_row(crate::story::order_of(0)).await.unwrap();
                    assert!(oldest.is_some(), "a half-built view was shown");
                    reads += 1;
                }
                reads
            })
        };
        for _ in 0..4 {
            world.views.rebuild(View::Customer, |_| {}).await.unwrap();
        }
        stop.cancel();
        writer.await.unwrap();
        projector.await.unwrap();
        assert!(reader.await.unwrap() > 0);
        world.catch_up().await;
        assert!(
            written.load(Ordering::Relaxed) > 50,
            "nothing was written meanwhile"
        );
        assert_eq!(world.shown().await, expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rebuild_of_the_same_view_is_refused_and_one_of_another_view_is_not() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let first = {
            let views = world.views.clone();
            tokio::spawn(async move {
                let mut waited = false;
                let pause = move |_| {
                    if !std::mem::replace(&mut waited, true) {
                        begun.send(()).unwrap();
                        tokio::task::block_in_place(|| may_go.recv().unwrap());
                    }
                };
                views.rebuild(View::Customer, pause).await
            })
        };
        tokio::task::block_in_place(|| has_begun.recv().unwrap());
        let second = world.views.rebuild(View::Customer, |_| {}).await;
        assert!(matches!(
            second,
            Err(RebuildError::Running { view: "customer" })
        ));
        if let TestLog::Postgres(_) = world.at {
            // As another process would ask.
            let elsewhere = world.second().await.rebuild(View::Customer, |_| {}).await;
            assert!(matches!(
                elsewhere,
                Err(RebuildError::Running { view: "customer" })
            ));
        }
        world.views.rebuild(View::Message, |_| {}).await.unwrap();
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert!(status.rebuild.is_some(), "the status shows the bar");
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert!(
            world
                .views
                .status_of(View::Customer)
                .await
                .unwrap()
                .rebuild
                .is_none()
        );
        world.views.rebuild(View::Customer, |_| {}).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_cut_off_changes_nothing_and_the_next_one_works() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        for number in 0..30 {
            world.live(number, Life::ALL[(number % 8) as usize]).await;
        }
        world.catch_up().await;
        let before = world.shown().await;
        let mut cut = 0;
        for micros in (1..).map(|round| round * 300).take(60) {
            let rebuild = world.views.rebuild(View::Customer, |_| {});
            cut += usize::from(
                timeout(Duration::from_micros(micros), rebuild)
                    .await
                    .is_err(),
            );
            assert_eq!(world.shown().await, before);
        }
        assert!(cut > 5, "only {cut} rebuilds were cut off");
        // What was cut off on another thread gives its claim back when it gets there.
        let again = async {
            while world.views.rebuild(View::Customer, |_| {}).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, again).await.unwrap();
        assert_eq!(world.shown().await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_an_older_definition_is_rebuilt_by_the_runner_itself() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        world.catch_up().await;
        let age = "UPDATE projection_generations SET version = 0 WHERE view = 'customer'";
        tamper(&world.at, age);
        world
            .views
            .run_until_caught_up(View::Customer)
            .await
            .unwrap();
        assert_eq!(world.shown().await, expected(&world.log).await);
        let report = world.views.rebuild(View::Customer, |_| {}).await.unwrap();
        assert_eq!(report.generation, 3, "the second was made by the runner");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_with_little_memory_lets_rows_go_and_takes_them_back() {
    for script in draw(1) {
        each_backend(async |at: TestLog| {
            let world = World::open(at).await;
            script.write(&world.log, async |_| {}).await;
            for number in 100..400 {
                world.live(number, Life::ALL[(number % 8) as usize]).await;
            }
            for number in 100..400 {
                tell_late(&world.log, number).await;
            }
            let options = Options {
                rows_in_memory: 9,
                ..Options::default()
            };
            let location = world.at.location();
            let tight = Projections::open_with(&location, world.log.clone(), options)
                .await
                .unwrap();
            for view in View::ALL {
                tight.rebuild(view, |_| {}).await.unwrap();
            }
            assert_eq!(world.shown().await, expected(&world.log).await);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_changed_view_is_rebuilt_the_old_table_answers() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..300).await;
        world.catch_up().await;
        // What only the old table says.
        let doc = match &world.at {
            TestLog::Postgres(_) => "jsonb_set(doc::jsonb, '{customerId}', '\"old\"')::json",
            TestLog::Sqlite(_) => "json_set(doc, '$.customerId', 'old')",
        };
        tamper(
            &world.at,
            &format!(
                "UPDATE view_customer_1 SET doc = {doc};
             UPDATE projection_generations SET version = 0 WHERE view = 'customer'"
            ),
        );
        let stop = CancellationToken::new();
        let process = {
            let (views, stop) = (world.views.clone(), stop.clone());
            tokio::spawn(async move { views.run(View::Customer, stop).await })
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut from_the_old_one = 0;
        loop {
            let row = world.views.customer_row(crate::story::order_of(7)).await;
            match row.unwrap().unwrap().customer_id.as_str() {
                "old" => from_the_old_one += 1,
                _ => break,
            }
            assert!(Instant::now() < deadline, "it is not rebuilt");
        }
        assert!(from_the_old_one > 1, "nobody looked meanwhile");
        stop.cancel();
        process.await.unwrap();
        world.catch_up().await;
        assert_eq!(world.shown().await, expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_table_is_dropped_follows_the_pointer() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..20).await;
        world.catch_up().await;
        let stop = CancellationToken::new();
        let readers = (0..4).map(|_| {
            let (views, stop) = (world.views.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let request = PageRequest::default();
                    let filter = CustomerFilter::default();
                    views.customer_rows(&filter, &request).await.unwrap();
                    let row = views.customer_row(crate::story::order_of(1)).await;
                    assert!(row.unwrap().is_some());
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        for _ in 0..15 {
            world.views.rebuild(View::Customer, |_| {}).await.unwrap();
            assert_eq!(world.views.drop_old(View::Customer).await.unwrap(), 1);
        }
        assert_eq!(world.views.drop_old(View::Customer).await.unwrap(), 0);
        stop.cancel();
        for reader in readers {
            reader.await.unwrap();
        }
    })
    .await;
}
