//! Rows and checkpoint move together: whoever else projects, and wherever a projector is cut off.

use std::time::Duration;

use eventstore::Position;
use eventstore::testing::{TestLog, each_backend};
use projections::View;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::oracle::{draw, expected};
use crate::story::Life;
use crate::world::{SOON, World, shown};

#[tokio::test(flavor = "multi_thread")]
async fn two_projectors_of_one_view_store_every_event_once() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let rivals = match world.at.dir() {
            // One process writes the embedded file; its two projectors share the handle.
            Some(_) => [world.views.clone(), world.views.clone()],
            None => [world.views.clone(), world.second().await],
        };
        let race = async |_| {
            let [one, other] = rivals.each_ref().map(|views| async {
                for view in View::ALL {
                    views.run_until_caught_up(view).await.unwrap();
                }
            });
            tokio::join!(one, other);
        };
        draw(1)[0].write(&world.log, race).await;
        let expected = expected(&world.log).await;
        assert_eq!(shown(&rivals[0]).await, expected);
        assert_eq!(shown(&rivals[1]).await, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_is_dropped_anywhere_leaves_rows_and_checkpoint_in_step() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let mut cut = 0;
        let mut told = 0;
        while cut < 40 {
            world.live(told, Life::ALL[(told % 8) as usize]).await;
            told += 1;
            for micros in [50, 200, 400, 800, 1_600] {
                let run = world.views.run_until_caught_up(View::Customer);
                cut += usize::from(timeout(Duration::from_micros(micros), run).await.is_err());
            }
            assert!(told < 2_000, "the projector is never cut off");
        }
        world.catch_up().await;
        assert_eq!(world.shown().await, expected(&world.log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_projector_stands_by_and_takes_over_when_the_first_one_ends() {
    let world = World::open(TestLog::postgres()).await;
    let rivals = [world.views.clone(), world.second().await];
    let stops = [CancellationToken::new(), CancellationToken::new()];
    let runs = [0, 1].map(|at| {
        let (views, stop) = (rivals[at].clone(), stops[at].clone());
        tokio::spawn(async move { views.run(View::Customer, stop).await })
    });
    let reach = async |number| {
        let position = world.live(number, Life::Delivered).await;
        for views in &rivals {
            views
                .wait_until(View::Customer, position, SOON)
                .await
                .unwrap();
        }
    };
    for number in 0..10 {
        reach(number).await;
    }
    let [first, second] = runs;
    stops[0].cancel();
    first.await.unwrap();
    for number in 10..15 {
        reach(number).await;
    }
    stops[1].cancel();
    second.await.unwrap();
    assert_eq!(
        shown(&rivals[0]).await.customers,
        expected(&world.log).await.customers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn projectors_that_share_what_was_read_store_what_each_would_alone() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let stop = CancellationToken::new();
        let runs = View::ALL.map(|view| {
            let (views, stop) = (world.views.clone(), stop.clone());
            tokio::spawn(async move { views.run(view, stop).await })
        });
        let mut head = Position::ZERO;
        for number in 0..60 {
            head = world.live(number, Life::ALL[(number % 8) as usize]).await;
        }
        for view in View::ALL {
            world.views.wait_until(view, head, SOON).await.unwrap();
        }
        stop.cancel();
        for run in runs {
            run.await.unwrap();
        }
        assert_eq!(world.shown().await, expected(&world.log).await);
    })
    .await;
}
