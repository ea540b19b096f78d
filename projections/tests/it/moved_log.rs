//! A log that came out of a file: its views are those of the log that went in.

use std::fs::File;
use std::path::Path;

use eventstore::archive;
use eventstore::testing::TestLog;
use projections::{ProjectionState, RunError, View};

use crate::oracle::{draw, expected};
use crate::story::Life;
use crate::world::World;

/// Scripts that are moved, each in both directions.
const SCRIPTS: usize = 2;

async fn export(world: &World, to: &Path) {
    let file = File::create(to).unwrap();
    archive::export(&world.log, Box::new(file), false, |_| {})
        .await
        .unwrap();
}

async fn import(from: &Path, to: &TestLog) {
    let file = File::open(from).unwrap();
    archive::import(&to.location(), Box::new(file), |_| {})
        .await
        .unwrap();
}

#[tokio::test]
async fn the_views_of_a_moved_log_equal_those_of_its_origin_live_and_rebuilt() {
    let shelf = tempfile::tempdir().unwrap();
    let file = shelf.path().join("archive");
    for script in draw(SCRIPTS) {
        for (from, to) in [
            (TestLog::sqlite(), TestLog::postgres()),
            (TestLog::postgres(), TestLog::sqlite()),
        ] {
            let origin = World::open(from).await;
            script.write(&origin.log, async |_| {}).await;
            origin.catch_up().await;
            export(&origin, &file).await;
            import(&file, &to).await;

            let moved = World::open(to).await;
            moved.catch_up().await;
            let shown = origin.shown().await;
            assert_eq!(moved.shown().await, shown);
            for view in View::ALL {
                moved.views.rebuild(view, |_| {}).await.unwrap();
            }
            assert_eq!(moved.shown().await, shown, "rebuilt");
            assert_eq!(expected(&moved.log).await, shown, "folded");
            moved.live(1_000, Life::Delivered).await;
            moved.catch_up().await;
            assert_eq!(moved.shown().await, expected(&moved.log).await);
        }
    }
}

#[tokio::test]
async fn views_that_were_left_from_another_log_stop_until_they_are_rebuilt() {
    let shelf = tempfile::tempdir().unwrap();
    let file = shelf.path().join("archive");
    let origin = World::open(TestLog::postgres()).await;
    for number in 0..3 {
        origin.live(number, Life::Delivered).await;
    }
    export(&origin, &file).await;

    let former = World::open(TestLog::sqlite()).await;
    former.live(7, Life::Open).await;
    former.catch_up().await;
    let World { log, views, at } = former;
    drop((log, views));
    let dir = at.dir().unwrap();
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        // Who closes the last connection takes the other two away.
        drop(std::fs::remove_file(dir.join(name)));
    }
    import(&file, &at).await;

    let moved = World::open(at).await;
    for view in View::ALL {
        let stopped = moved.views.run_until_caught_up(view).await;
        assert!(matches!(stopped, Err(RunError::Log(_))), "{stopped:?}");
        moved.views.rebuild(view, |_| {}).await.unwrap();
        moved.views.run_until_caught_up(view).await.unwrap();
        let status = moved.views.status_of(view).await.unwrap();
        assert_ne!(status.state, ProjectionState::Stopped);
    }
    assert_eq!(moved.shown().await, expected(&origin.log).await);
}
