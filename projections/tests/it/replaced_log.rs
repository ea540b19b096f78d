//! A log that is not the one the views were folded from.

use eventstore::testing::{TestLog, each_backend};
use projections::{ProjectionState, Projections, RunError, View};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::oracle::expected;
use crate::story::Life;
use crate::world::{SOON, World, shown};

/// Fresh, with a history of its own: what an older copy is once it has taken other orders.
async fn another_log(like: &TestLog) -> World {
    let other = World::open(match like {
        TestLog::Postgres(_) => TestLog::postgres(),
        TestLog::Sqlite(_) => TestLog::sqlite(),
    })
    .await;
    other.live(7, Life::Open).await;
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_replaced_by_another_copy_stops_the_projection_loudly_until_it_is_rebuilt() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        world.catch_up().await;
        let before = world.shown().await;
        let other = another_log(&world.at).await;
        let views = Projections::open(&world.at.location(), other.log.clone())
            .await
            .unwrap();

        let once = views.run_until_caught_up(View::Customer).await;
        assert!(matches!(once, Err(RunError::Log(_))));
        let stop = CancellationToken::new();
        let running = {
            let (views, stop) = (views.clone(), stop.clone());
            tokio::spawn(async move { views.run(View::Customer, stop).await })
        };
        let status = until(&views, ProjectionState::Stopped).await;
        assert!(status.reason.unwrap().contains("does not continue"));
        assert_eq!(shown(&views).await, before, "the rows stay as they were");
        let elsewhere = async {
            // Another process sees it too, once it is noted.
            while world
                .views
                .status_of(View::Customer)
                .await
                .unwrap()
                .reason
                .is_none()
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, elsewhere).await.unwrap();

        views.rebuild(View::Customer, |_| {}).await.unwrap();
        let head = other.live(8, Life::Delivered).await;
        views.wait_until(View::Customer, head, SOON).await.unwrap();
        until(&views, ProjectionState::Running).await;
        stop.cancel();
        running.await.unwrap();
        assert_eq!(
            shown(&views).await.customers,
            expected(&other.log).await.customers
        );
    })
    .await;
}

async fn until(views: &Projections, state: ProjectionState) -> projections::ProjectionStatus {
    let look = async {
        loop {
            let status = views.status_of(View::Customer).await.unwrap();
            if status.state == state {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, look).await.expect("the state is reached")
}
