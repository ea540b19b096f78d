//! Waiting for a view, and how far it is behind.

use std::time::{Duration, Instant};

use eventstore::Position;
use eventstore::testing::{TestLog, each_backend};
use projections::{ProjectionState, View, WaitError};
use tokio_util::sync::CancellationToken;

use crate::story::{Life, order_of};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_position_then_reads_it() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let stop = CancellationToken::new();
        let running = {
            let (views, stop) = (world.views.clone(), stop.clone());
            tokio::spawn(async move { views.run(View::Customer, stop).await })
        };
        let other = world.second().await;
        for number in 0..20 {
            let position = world.live(number, Life::Delivered).await;
            let began = Instant::now();
            let views = if number % 2 == 0 {
                &world.views
            } else {
                &other
            };
            views
                .wait_until(View::Customer, position, Duration::from_secs(5))
                .await
                .unwrap();
            assert!(began.elapsed() < Duration::from_secs(2));
            let row = views.customer_row(order_of(number)).await.unwrap().unwrap();
            assert_eq!(row.timeline.len(), 11);
        }
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!((status.state, status.lag), (ProjectionState::Running, 0));
        stop.cancel();
        running.await.unwrap();
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(status.state, ProjectionState::Elsewhere);
    })
    .await;
}

#[tokio::test]
async fn a_view_that_nobody_projects_is_behind_and_says_how_far() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let head = world.live(1, Life::Delivered).await;
        let waited = world
            .views
            .wait_until(View::Customer, head, Duration::from_millis(80))
            .await;
        let Err(WaitError::Behind { at, wanted, .. }) = waited else {
            panic!("nobody projects: {waited:?}");
        };
        assert_eq!((at, wanted), (Position::ZERO, head));
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!((status.lag, status.head), (head.0, head));
        assert!(status.lag_seconds > 0.05, "{status:?}");
        world.catch_up().await;
        let statuses = world.views.status().await.unwrap();
        assert!(
            statuses
                .iter()
                .all(|status| status.lag == 0 && status.lag_seconds == 0.0)
        );
    })
    .await;
}
