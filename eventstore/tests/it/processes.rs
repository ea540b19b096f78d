//! Several processes on one log, and processes that die.

use std::collections::HashSet;
use std::time::Duration;

use eventstore::testing::{TestLog, each_backend};
use eventstore::{Checkpoint, EventStore, RecordedEvent};
use futures_util::future::join_all;

use crate::child::{Process, Role};
use crate::support::{append_one, assert_in_order, dice, figures, size, whole_log};

/// Kills of a run, and how many of them must hit while something was under way for the run to prove anything.
const KILLS: usize = 20;
const TELLING_KILLS: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_dense_and_in_commit_order_under_16_writers_from_3_processes_and_a_reader_misses_nothing()
 {
    let log = TestLog::postgres();
    let store = log.open().await;
    let appends = size(200, 2_000);
    let writers = [6, 5, 5];
    let mut processes: Vec<_> = writers
        .iter()
        .map(|&writers| Process::start(Role::Write { writers, appends }, &log))
        .collect();
    let total = 16 * appends;
    let reading = tokio::spawn(follow(store.clone(), total));
    let acknowledged = join_all(processes.iter_mut().map(async |process| {
        let mut stored = HashSet::new();
        while let Some(line) = process.next().await {
            stored.extend(line.strip_prefix("stored ").map(str::to_owned));
        }
        stored
    }))
    .await;
    let followed = tokio::time::timeout(Duration::from_secs(60), reading)
        .await
        .expect("in time")
        .expect("ran");
    assert_in_order(&followed);
    let read: HashSet<_> = followed
        .iter()
        .map(|event| format!("{}.", event.event_id))
        .collect();
    let stored: HashSet<_> = acknowledged.into_iter().flatten().collect();
    assert_eq!(stored.len(), total);
    assert_eq!(
        read, stored,
        "the reader has seen what the writers were told is stored"
    );
    figures(&format!(
        "writers: processes=3 writers=16 events={total} missed=0 inversions=0"
    ));
}

/// Reads the log as it grows, page after page, until it has `total` events.
async fn follow(store: EventStore, total: usize) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    while events.len() < total {
        let after = events
            .last()
            .map_or(Checkpoint::START, RecordedEvent::checkpoint);
        let page = store.read_page(&after, 97).await.expect("a page");
        if page.is_empty() {
            store
                .wait_past(after.position, Duration::from_secs(1))
                .await
                .expect("waited");
        }
        events.extend(page);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_append_survives_kill_9() {
    each_backend(async |log| {
        drop(log.open().await);
        let mut dice = dice("kill -9");
        let (mut sent, mut stored, mut telling) = (HashSet::new(), HashSet::new(), 0);
        for _ in 0..KILLS {
            let mut process = Process::start(Role::Write { writers: 8, appends: usize::MAX }, &log);
            let mut under_way: HashSet<String> = HashSet::new();
            let victim_of_chance = dice.usize(20..200);
            let mut killed = false;
            let mut lines = 0;
            while let Some(line) = process.next().await {
                if let Some(id) = line.strip_prefix("sent ") {
                    under_way.insert(id.to_owned());
                    sent.insert(id.to_owned());
                } else if let Some(id) = line.strip_prefix("stored ") {
                    under_way.remove(id);
                    stored.insert(id.to_owned());
                }
                lines += 1;
                if lines >= victim_of_chance && !killed {
                    process.kill();
                    killed = true;
                }
            }
            process.wait().await;
            telling += usize::from(!under_way.is_empty());
        }
        let store = log.open().await;
        let events = whole_log(&store).await;
        let read: HashSet<_> = events.iter().map(|event| format!("{}.", event.event_id)).collect();
        let lost = stored.difference(&read).count();
        let name = store.backend_name();
        figures(&format!(
            "kill -9: backend={name} kills={KILLS} in-flight={telling} acknowledged={} survived={} lost={lost}",
            stored.len(),
            read.len()
        ));
        assert_eq!(lost, 0, "acknowledged and gone");
        assert!(read.is_subset(&sent), "nothing is there that was not asked for");
        assert!(telling >= TELLING_KILLS, "only {telling} kills hit while appends were under way");
        append_one(&store).await.expect("appends go on");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_processes_can_migrate_at_once() {
    each_backend(async |log| {
        let mut processes: Vec<_> = (0..10)
            .map(|_| Process::start(Role::Migrate, &log))
            .collect();
        let said = join_all(processes.iter_mut().map(Process::next)).await;
        let applied = said
            .iter()
            .filter_map(|line| line.as_deref())
            .filter(|line| line.starts_with("applied ") && *line != "applied 0.")
            .count();
        let nothing_left = said
            .iter()
            .filter(|line| line.as_deref() == Some("applied 0."))
            .count();
        assert_eq!((applied, nothing_left), (1, 9), "{said:?}");
        append_one(&log.open().await).await.expect("stored");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_writer_and_may_be_read_beside_it() {
    let log = TestLog::sqlite();
    let store = log.open().await;
    append_one(&store).await.expect("stored");
    let refused = Process::start(Role::Open, &log)
        .next()
        .await
        .expect("an answer");
    assert!(refused.starts_with("Locked("), "{refused}");
    let read = Process::start(Role::Read, &log).next().await;
    assert_eq!(read.as_deref(), Some("head 1."));
    drop(store);
    let opened = Process::start(Role::Open, &log).next().await;
    assert_eq!(opened.as_deref(), Some("opened."));
}
