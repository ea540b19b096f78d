//! What is alive and makes no progress is found, said, and begun anew: the projector, and the rebuild at its start.

use eventstore::testing::{TestLog, each_backend};
use projections::{LagReason, ProjectionState, Projections, View};
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

use crate::lag::{impatient, start, until};
use crate::story::{Life, order_of};
use crate::world::{SOON, World, tamper};

/// What the projector of the customer view has to change for each page.
const ITS_CHECKPOINT: &str =
    "SELECT 1 FROM projection_generations WHERE view = 'customer' FOR UPDATE";

/// What every rebuild has to write to before anything else.
const CATALOGUE: &str = "LOCK TABLE projection_generations IN SHARE MODE";

/// Somebody who keeps others from writing to the views.
enum Obstacle {
    Postgres(tokio_postgres::Client),
    Sqlite(rusqlite::Connection),
}

impl Obstacle {
    /// Takes a lock in Postgres; in SQLite there is only one.
    async fn begin(at: &TestLog, lock: &str) -> Obstacle {
        match at {
            TestLog::Postgres(database) => {
                let connected = tokio_postgres::connect(&database.url(), NoTls).await;
                let (client, connection) = connected.unwrap();
                tokio::spawn(connection);
                client
                    .batch_execute(&format!("BEGIN; {lock}"))
                    .await
                    .unwrap();
                Obstacle::Postgres(client)
            }
            TestLog::Sqlite(dir) => {
                let file = dir.path().join("views.db");
                let connection = rusqlite::Connection::open(file).unwrap();
                connection.busy_timeout(SOON).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Obstacle::Sqlite(connection)
            }
        }
    }

    async fn end(self) {
        match self {
            Obstacle::Postgres(client) => client.batch_execute("ROLLBACK").await.unwrap(),
            Obstacle::Sqlite(connection) => connection.execute_batch("ROLLBACK").unwrap(),
        }
    }
}

/// Says that it is stuck for as long as it is, while those who read are not held up.
async fn says_so(views: &Projections) {
    let stuck = until(views, View::Customer, |status| status.restarts >= 2).await;
    assert!(stuck.lag > 0, "{stuck:?}");
    let failing = until(views, View::Customer, |status| {
        status.lag_reason == Some(LagReason::Failing)
    })
    .await;
    assert!(failing.reason.unwrap().contains("no progress"));
    assert!(views.customer_row(order_of(1)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_hangs_is_begun_anew_and_catches_up_once_it_can() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let location = world.at.location();
        let views = Projections::open_with(&location, world.log.clone(), impatient());
        let views = views.await.unwrap();
        let stop = CancellationToken::new();
        let running = start(&views, View::Customer, &stop);
        let head = world.live(1, Life::Delivered).await;
        views.wait_until(View::Customer, head, SOON).await.unwrap();

        let obstacle = Obstacle::begin(&world.at, ITS_CHECKPOINT).await;
        let head = world.live(2, Life::Delivered).await;
        says_so(&views).await;
        if let TestLog::Postgres(_) = world.at {
            // The embedded store has one writer for all views.
            views.run_until_caught_up(View::Message).await.unwrap();
        }
        obstacle.end().await;
        views.wait_until(View::Customer, head, SOON).await.unwrap();
        // A write that was given up may have been done all the same, before the next attempt.
        let status = until(&views, View::Customer, |status| {
            status.state == ProjectionState::Running
        })
        .await;
        assert_eq!((status.lag, status.lag_reason), (0, None));
        assert!(views.customer_row(order_of(2)).await.unwrap().is_some());
        stop.cancel();
        running.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_at_start_that_hangs_is_begun_anew_and_ends_once_it_can() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        world.catch_up().await;
        tamper(
            &world.at,
            "UPDATE projection_generations SET version = 0 WHERE view = 'customer'",
        );
        world.live(2, Life::Delivered).await;
        let location = world.at.location();
        let views = Projections::open_with(&location, world.log.clone(), impatient());
        let views = views.await.unwrap();
        let obstacle = Obstacle::begin(&world.at, CATALOGUE).await;
        let stop = CancellationToken::new();
        let running = start(&views, View::Customer, &stop);
        says_so(&views).await;

        obstacle.end().await;
        let status = until(&views, View::Customer, |status| status.lag == 0).await;
        assert_eq!((status.lag_reason, status.rebuild), (None, None));
        assert!(views.customer_row(order_of(2)).await.unwrap().is_some());
        stop.cancel();
        running.await.unwrap();
    })
    .await;
}
