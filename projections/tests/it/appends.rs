//! Orders are taken while a view of the same directory is rebuilt.

use std::cell::Cell;
use std::time::{Duration, Instant};

use eventstore::EventStore;
use eventstore::testing::TestLog;
use projections::View;
use serde_json::value::RawValue;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::soak::{self, figure, size};
use crate::world::{World, stream_append, tell_many};

/// An append is asked for this often, however long the ones before it take.
const EVERY: Duration = Duration::from_millis(5);

/// Times of quiet and of rebuilding take turns, so that both meet the same machine.
const TURNS: u32 = 4;

/// For how long appends go on at a time where a turn has not seen the end of a rebuild yet.
const MORE: Duration = Duration::from_millis(250);

/// How long the slowest hundredth may wait during a rebuild where it waits so many milliseconds else. A
/// tenth of the check, on a machine with other work, only shows that nothing stands still.
fn bound(quiet: f64) -> f64 {
    match soak::is_on() {
        true => 2.0 * quiet,
        false => (20.0 * quiet).max(1_000.0),
    }
}

async fn append(log: &EventStore) -> Duration {
    let data = RawValue::from_string(String::from(r#"{"n":1}"#)).unwrap();
    let hint = stream_append("webhook", Uuid::now_v7(), "WebhookReceived", 1, data);
    let began = Instant::now();
    log.append(vec![hint]).await.unwrap();
    began.elapsed()
}

/// Latencies of appends for a while.
async fn appends(log: &EventStore, length: Duration) -> Vec<Duration> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut all = Vec::new();
    while began.elapsed() < length {
        ticks.tick().await;
        let log = log.clone();
        all.push(tokio::spawn(async move { append(&log).await }));
    }
    let mut latencies = Vec::new();
    for append in all {
        latencies.push(append.await.unwrap());
    }
    latencies
}

fn p99(mut latencies: Vec<Duration>) -> f64 {
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e3
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_hardly_holds_up_appends_to_the_embedded_log() {
    let world = World::open(TestLog::sqlite()).await;
    tell_many(&world.log, 0..size(20_000)).await;
    world.catch_up().await;
    let stop = CancellationToken::new();
    let projector = {
        let (views, stop) = (world.views.clone(), stop.clone());
        tokio::spawn(async move { views.run(View::Customer, stop).await })
    };
    let length = Duration::from_millis(size(10_000));
    let (mut quiet, mut busy, mut rebuilds) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        quiet.extend(appends(&world.log, length).await);
        let turn = Cell::new(0);
        let rebuilding = async {
            loop {
                world.views.rebuild(View::Customer, |_| {}).await.unwrap();
                turn.set(turn.get() + 1);
            }
        };
        let appending = async {
            let mut all = appends(&world.log, length).await;
            // Only a whole rebuild has made its indexes and taken the live table's place.
            while turn.get() == 0 {
                all.extend(appends(&world.log, MORE).await);
            }
            all
        };
        tokio::select! {
            latencies = appending => busy.extend(latencies),
            () = rebuilding => unreachable!("it goes on and on"),
        }
        rebuilds += turn.get();
    }
    assert!(rebuilds >= TURNS, "{rebuilds} in {TURNS} turns");
    stop.cancel();
    projector.await.unwrap();
    let (count, quiet, busy) = (busy.len(), p99(quiet), p99(busy));
    figure(&format!(
        "appends while a view is rebuilt on SQLite: appends={count} rebuilds={rebuilds} p99-quiet-ms={quiet:.2} \
         p99-rebuilding-ms={busy:.2} ratio={:.2}",
        busy / quiet
    ));
    assert!(busy <= bound(quiet), "{busy} ms against {quiet} ms");
}
