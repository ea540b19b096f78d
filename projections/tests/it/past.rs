//! Views as they were.

use std::path::Path;

use eventstore::Position;
use eventstore::testing::{TestLog, each_backend};
use projections::{OpenError, Past, PastError, RebuildOptions, View};
use serde_json::{Value, json};

use crate::oracle::{all_events, expected_of};
use crate::world::{Shown, World, tell_many};

async fn fold(world: &World, view: View, at: i64, scratch: &Path) -> Result<Past, PastError> {
    let options = RebuildOptions {
        workers: 2,
        ..RebuildOptions::default()
    };
    Past::fold(&world.log, view, Position(at), scratch, &options, |_| {}).await
}

async fn rows(past: &mut Past) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let rows = past.next().await.unwrap();
        if rows.is_empty() {
            return all;
        }
        all.extend(rows);
    }
}

/// The rows of a view, oldest first, as JSON.
fn of(shown: &Shown, view: View) -> Vec<Value> {
    let mut rows = match view {
        View::Customer => shown.customers.iter().map(|row| json!(row)).collect(),
        View::Message => shown.messages.iter().map(|row| json!(row)).collect(),
        View::Saga => shown.sagas.iter().map(|row| json!(row)).collect::<Vec<_>>(),
    };
    rows.reverse();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_shown_as_it_was_at_any_position_and_nothing_that_lives_is_touched() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..150).await;
        world.catch_up().await;
        let before = world.shown().await;
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        let events = all_events(&world.log).await;
        let head = events.len();
        for wanted in [0, 1, 17, head / 2, head] {
            let then = expected_of(&events[..wanted]);
            for view in View::ALL {
                let past = fold(&world, view, wanted as i64, &scratch).await;
                let mut past = past.unwrap();
                assert_eq!(past.report.position, Position(wanted as i64));
                assert!(
                    rows(&mut past).await == of(&then, view),
                    "{view} at {wanted}"
                );
                past.rewind();
                assert_eq!(rows(&mut past).await.len(), of(&then, view).len());
                drop(past);
                assert!(!scratch.exists(), "its directory goes with it");
            }
        }
        assert!(world.shown().await == before);
        for status in world.views.status().await.unwrap() {
            assert_eq!(status.position.0, head as i64);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_log_and_a_directory_in_use_are_refused() {
    let world = World::open(TestLog::sqlite()).await;
    tell_many(&world.log, 0..5).await;
    let head = world.log.head().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    let beyond = fold(&world, View::Customer, head.0 + 1, &scratch).await;
    assert!(matches!(beyond, Err(PastError::Beyond { .. })));
    assert!(!scratch.exists());
    let first = fold(&world, View::Customer, head.0, &scratch)
        .await
        .unwrap();
    let second = fold(&world, View::Customer, head.0, &scratch).await;
    assert!(matches!(second, Err(PastError::Open(OpenError::InUse(_)))));
    assert!(scratch.exists(), "it is the first one's");
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_a_kill_has_left_behind_is_used_again() {
    let world = World::open(TestLog::sqlite()).await;
    tell_many(&world.log, 0..40).await;
    let head = world.log.head().await.unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    let [scratch, kept] = ["scratch", "kept"].map(|name| folder.path().join(name));
    drop(fold(&world, View::Customer, head, &scratch).await.unwrap());
    let past = fold(&world, View::Customer, head, &scratch).await.unwrap();
    // As a kill leaves it: a table that is further than the one to come.
    std::fs::create_dir(&kept).unwrap();
    for file in ["views.db", "views.db-wal"] {
        std::fs::copy(scratch.join(file), kept.join(file)).unwrap();
    }
    drop(past);
    let events = all_events(&world.log).await;
    let mut past = fold(&world, View::Customer, head / 2, &kept).await.unwrap();
    let then = expected_of(&events[..events.len() / 2]);
    assert!(rows(&mut past).await == of(&then, View::Customer));
}
