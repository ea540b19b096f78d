//! Rows and checkpoint move together: whoever else projects, and wherever a projector is cut off.

use std::time::Duration;

use eventstore::testing::{TestLog, each_backend};
use projections::View;
use tokio::time::timeout;

use crate::oracle::{draw, expected};
use crate::story::Life;
use crate::world::{World, shown};

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
