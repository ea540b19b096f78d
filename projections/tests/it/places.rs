//! Views at places of their own, apart from the log and from each other.

use eventstore::testing::{TestDatabase, TestLog};
use eventstore::{EventStore, Location, Position};
use projections::customer::CustomerView;
use projections::{OpenError, Places, Projections, View, ViewOf};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::oracle::expected;
use crate::story::Life;
use crate::world::{SOON, shown, tell};

/// The log in one database, the customer view in another one, the message view in a file.
struct Scattered {
    log_at: TestLog,
    customers: TestDatabase,
    messages: TempDir,
    log: EventStore,
    views: Projections,
}

impl Scattered {
    async fn open() -> Self {
        let log_at = TestLog::postgres();
        let log = log_at.open().await;
        let customers = TestDatabase::create();
        let messages = tempfile::tempdir().unwrap();
        let places = Places {
            log: log_at.location(),
            customer: Some(customers.location()),
            message: Some(Location::sqlite(
                messages.path().join("made by the migration"),
            )),
        };
        for place in places.each() {
            Projections::migrate(place.location).await.unwrap();
        }
        let views = Projections::open(places, log.clone()).await.unwrap();
        Self {
            log_at,
            customers,
            messages,
            log,
            views,
        }
    }

    async fn tell(&self, numbers: std::ops::Range<u64>) -> Position {
        let mut last = Position::ZERO;
        for number in numbers {
            last = tell(&self.log, number, Life::ALL[(number % 8) as usize]).await;
        }
        last
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_view_is_kept_rebuilt_listed_and_waited_for_at_its_own_place() {
    let world = Scattered::open().await;
    let stop = CancellationToken::new();
    let runs = View::ALL.map(|view| {
        let (views, stop) = (world.views.clone(), stop.clone());
        tokio::spawn(async move { views.run(view, stop).await })
    });
    let head = world.tell(0..24).await;
    for view in View::ALL {
        world.views.wait_until(view, head, SOON).await.unwrap();
    }
    let whole = expected(&world.log).await;
    assert_eq!(shown(&world.views).await, whole);
    for view in View::ALL {
        let report = world.views.rebuild(view, |_| {}).await.unwrap();
        assert_eq!((report.position, report.generation), (head, 2), "{view}");
    }
    assert_eq!(shown(&world.views).await, whole, "rebuilt");
    for status in world.views.status().await.unwrap() {
        assert_eq!((status.lag, status.parked_keys), (0, 0), "{}", status.name);
    }
    stop.cancel();
    for run in runs {
        run.await.unwrap();
    }
    // Each place has the tables of its own views and no other's.
    let tables = "SELECT 1 / (count(*) = 1)::int FROM pg_tables WHERE tablename LIKE 'view\\_%\\_2'
                  AND tablename LIKE ";
    for (database, view) in [
        (&world.customers, "customer"),
        (log_database(&world), "saga"),
    ] {
        database
            .try_execute(&format!("{tables} 'view_{view}_2'"))
            .unwrap();
        let others = format!(
            "SELECT 1 / (count(*) = 0)::int FROM pg_tables WHERE tablename LIKE 'view\\_%' AND tablename NOT LIKE 'view\\_{view}%'"
        );
        database.try_execute(&others).unwrap();
    }
}

fn log_database(world: &Scattered) -> &TestDatabase {
    match &world.log_at {
        TestLog::Postgres(database) => database,
        TestLog::Sqlite(_) => unreachable!("the log is in Postgres"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_views_is_for_one_process_at_a_time() {
    let world = Scattered::open().await;
    let dir = Location::sqlite(world.messages.path().join("made by the migration"));
    let second = ViewOf::<CustomerView>::open(&dir, world.log.clone()).await;
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    let Scattered {
        views,
        log,
        messages,
        ..
    } = world;
    drop(views);
    ViewOf::<CustomerView>::open(&dir, log).await.unwrap();
    drop(messages);
}
