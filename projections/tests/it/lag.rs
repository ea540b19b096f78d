//! How far a view is behind, and why.

use std::time::Duration;

use eventstore::testing::{TestDatabase, TestLog, each_backend};
use projections::{
    Cutover, LagReason, Options, Places, ProjectionState, ProjectionStatus, Projections,
    RebuildOptions, View,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::story::{Life, life, order_of};
use crate::world::{Halted, SOON, World, append, tamper, tell};

/// Far more than a page takes, and little for a test.
pub(crate) const STUCK_AFTER: Duration = Duration::from_millis(700);

pub(crate) fn impatient() -> Options {
    Options {
        stuck_after: STUCK_AFTER,
        ..Options::default()
    }
}

pub(crate) async fn until(
    views: &Projections,
    view: View,
    wanted: impl Fn(&ProjectionStatus) -> bool,
) -> ProjectionStatus {
    let look = async {
        loop {
            let status = views.status_of(view).await.unwrap();
            if wanted(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, look).await.expect("it comes to that")
}

pub(crate) fn start(
    views: &Projections,
    view: View,
    stop: &CancellationToken,
) -> tokio::task::JoinHandle<()> {
    let (views, stop) = (views.clone(), stop.clone());
    tokio::spawn(async move { views.run(view, stop).await })
}

/// More than a busy machine needs for an append and a look.
const NOBODY_AFTER: Duration = Duration::from_secs(2);

/// One append: how long it waits is counted from the first event on.
async fn ordered(world: &World, number: u64) {
    let story = life(number, Life::Open);
    append(&world.log, story.order_id, &story.appends[0]).await;
}

#[tokio::test]
async fn a_view_that_nobody_projects_says_so_once_nobody_can_be_at_it_any_more() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let location = world.at.location();
        let options = Options {
            stuck_after: NOBODY_AFTER,
            ..Options::default()
        };
        let views = Projections::open_with(&location, world.log.clone(), options)
            .await
            .unwrap();
        ordered(&world, 1).await;
        let status = views.status_of(View::Customer).await.unwrap();
        assert_eq!(
            status.lag_reason,
            Some(LagReason::CatchingUp),
            "it may come yet"
        );
        let status = until(&views, View::Customer, |status| {
            status.lag_reason == Some(LagReason::NoOwner)
        })
        .await;
        assert!(
            status.lag_seconds > NOBODY_AFTER.as_secs_f64(),
            "{status:?}"
        );
        assert_eq!(status.state, ProjectionState::Elsewhere);
        world.catch_up().await;
        let status = views.status_of(View::Customer).await.unwrap();
        assert_eq!((status.lag, status.lag_reason), (0, None));
        // One that was at rest for long is not without an owner the moment that something comes.
        tamper(&world.at, "UPDATE projection_generations SET moved_at = 1");
        ordered(&world, 2).await;
        let status = views.status_of(View::Customer).await.unwrap();
        assert_eq!(status.lag_reason, Some(LagReason::CatchingUp));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_definition_has_changed_says_that_it_is_rebuilt_whoever_is_at_it() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        world.catch_up().await;
        let age = "UPDATE projection_generations SET version = 0 WHERE view = 'customer'";
        tamper(&world.at, age);
        world.live(2, Life::Delivered).await;
        let location = world.at.location();
        let views = Projections::open_with(&location, world.log.clone(), impatient())
            .await
            .unwrap();
        let manual = RebuildOptions {
            cutover: Cutover::Manual,
            ..RebuildOptions::default()
        };
        let other = Halted::begin(&views, View::Customer, manual);
        let stop = CancellationToken::new();
        let running = start(&views, View::Customer, &stop);
        let status = until(&views, View::Customer, |status| {
            status.lag_seconds > 2.0 * STUCK_AFTER.as_secs_f64()
                || matches!(
                    status.lag_reason,
                    Some(LagReason::Failing | LagReason::NoOwner)
                )
        })
        .await;
        assert_eq!(status.lag_reason, Some(LagReason::Rebuilding), "{status:?}");
        assert_eq!(
            (status.state, status.restarts),
            (ProjectionState::Elsewhere, 0)
        );
        if let TestLog::Postgres(_) = world.at {
            // A process that only shows it says the same.
            let status = world.views.status_of(View::Customer).await.unwrap();
            assert_eq!(status.lag_reason, Some(LagReason::Rebuilding));
        }
        assert!(views.customer_row(order_of(1)).await.unwrap().is_some());
        assert!(views.customer_row(order_of(2)).await.unwrap().is_none());
        other.end().await.unwrap();
        let status = until(&views, View::Customer, |status| status.lag == 0).await;
        assert_eq!(status.lag_reason, None);
        assert!(views.customer_row(order_of(2)).await.unwrap().is_some());
        stop.cancel();
        running.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_database_is_away_says_so_and_the_others_go_on() {
    let log_at = TestLog::postgres();
    let log = log_at.open().await;
    let customers = TestDatabase::create();
    let places = Places {
        customer: Some(customers.location()),
        ..Places::from(&log_at.location())
    };
    for place in places.each() {
        Projections::migrate(place.location).await.unwrap();
    }
    let views = Projections::open(places, log.clone()).await.unwrap();
    let stop = CancellationToken::new();
    let runs = View::ALL.map(|view| start(&views, view, &stop));
    let before = tell(&log, 1, Life::Delivered).await;
    for view in View::ALL {
        views.wait_until(view, before, SOON).await.unwrap();
    }

    let name = customers.url();
    let name = name.rsplit('/').next().unwrap().split('?').next().unwrap();
    let elsewhere = TestDatabase::create();
    let shut = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    elsewhere.try_execute(&shut).unwrap();
    let head = tell(&log, 2, Life::Delivered).await;
    for view in [View::Message, View::Saga] {
        views.wait_until(view, head, SOON).await.unwrap();
    }
    let away = until(&views, View::Customer, |status| {
        status.lag_reason == Some(LagReason::StoreUnreachable)
    })
    .await;
    assert_eq!((away.position, away.lag), (before, head.0 - before.0));
    assert!(away.reason.is_some());
    for status in views.status().await.unwrap() {
        let is_away = status.name == "customer";
        assert_eq!(status.lag_reason.is_some(), is_away, "{status:?}");
    }
    let open = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
    elsewhere.try_execute(&open).unwrap();
    until(&views, View::Customer, |status| {
        status.position == head && status.lag_reason.is_none()
    })
    .await;
    stop.cancel();
    for run in runs {
        run.await.unwrap();
    }
}
