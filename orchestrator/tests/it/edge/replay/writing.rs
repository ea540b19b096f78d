//! Views are rebuilt while orders come in and people look.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use projections::{Past, RebuildOptions, View};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::shelf::rows;
use crate::edge::server::{PATIENCE, TestServer, on_each_backend};
use crate::soak::size;

/// Rebuilds of both views.
const ROUNDS: usize = 3;

/// Customers at once.
const BUYERS: usize = 4;

/// Between two looks at what is under way, and how long a rebuild may take on a busy machine.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(120);

/// Looks at the views until told to stop; returns how often.
async fn reader(server: &TestServer, stop: &CancellationToken) -> usize {
    let mut reads = 0;
    while !stop.is_cancelled() {
        for path in ["/mypages?size=5", "/kakaomsgs?size=5"] {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            reads += 1;
        }
    }
    reads
}

async fn rebuild(server: &TestServer, view: &str) {
    let path = format!("/projections/{view}");
    let wish = json!({ "verify": true, "parallel": 2 });
    let started = server.post(&format!("{path}/rebuild"), &wish).await;
    assert_eq!(started.status, 202, "{}", started.text());
    let deadline = Instant::now() + LONGEST;
    let done = loop {
        let last = server.get(&path).await.body()["lastRebuild"].clone();
        if last["state"] != "running" {
            break last;
        }
        assert!(Instant::now() < deadline, "{view} is being rebuilt still");
        sleep(LOOK_EVERY).await;
    };
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(done["report"]["verification"]["differing"], 0, "{done}");
    assert_eq!(done["report"]["live"], true);
}

/// Whether a view shows what a fold of the log up to its head comes to, which is made apart from it.
async fn equals_the_log(server: &TestServer, view: View) -> bool {
    let (views, log) = (&server.edge().projections, &server.edge().store);
    let head = log.head().await.expect("the head");
    views
        .wait_until(view, head, PATIENCE)
        .await
        .expect("caught up");
    let deadline = Instant::now() + PATIENCE;
    // The orders go on by themselves for a while.
    let (position, shown) = loop {
        let before = views.position(view).await.expect("a position");
        let shown = rows(views, view).await;
        let after = views.position(view).await.expect("a position");
        if before == after {
            break (after, shown);
        }
        assert!(Instant::now() < deadline, "the log does not come to rest");
    };
    let scratch = server.folder.path().join("scratch");
    let options = RebuildOptions::default();
    let folded = Past::fold(log, view, position, &scratch, &options, |_| {}).await;
    let mut past = folded.expect("folded");
    let mut expected: Vec<Value> = Vec::new();
    loop {
        let page = past.next().await.expect("rows");
        if page.is_empty() {
            break;
        }
        expected.extend(page);
    }
    expected.reverse();
    shown == expected
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_rebuilt_while_orders_come_in_and_nobody_who_looks_sees_an_error() {
    on_each_backend(async |server| {
        let stop = CancellationToken::new();
        let placed = AtomicUsize::new(0);
        let buyer = async || {
            while !stop.is_cancelled() {
                server.placed("33").await;
                placed.fetch_add(1, Ordering::Relaxed);
            }
        };
        let work = async {
            for _ in 0..ROUNDS {
                let before = placed.load(Ordering::Relaxed);
                for view in ["customer", "message"] {
                    rebuild(server, view).await;
                }
                // Some orders come in between any two rebuilds.
                while placed.load(Ordering::Relaxed) < before + size(200) {
                    sleep(LOOK_EVERY).await;
                }
            }
            stop.cancel();
        };
        let buyers = futures_util::future::join_all((0..BUYERS).map(|_| buyer()));
        let (reads, _, ()) = tokio::join!(reader(server, &stop), buyers, work);
        let equal = [
            equals_the_log(server, View::Customer).await,
            equals_the_log(server, View::Message).await,
        ];
        let line = format!(
            "figure: replay-while-writing rebuilds={} orders={} reads={reads} reader-errors=0 equal={}",
            2 * ROUNDS,
            placed.load(Ordering::Relaxed),
            equal.iter().filter(|equal| **equal).count()
        );
        writeln!(std::io::stdout().lock(), "\n{line}").expect("a line");
        assert_eq!(equal, [true, true]);
    })
    .await;
}
