//! One of several processes sweeps, and when it is gone another one does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::testing::{TestLog, each_backend};
use eventstore::{EventStore, Position};
use futures_util::future::BoxFuture;
use orchestrator::saga::index::{Due, IndexError, LogIndex, SagaIndex};
use orchestrator::saga::sweeper::{Pace, Sweeper};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::agency::Agency;
use super::desk::Desk;

const EVERY: Duration = Duration::from_millis(50);
/// Long enough that a busy machine renews it in time.
const LEASE: Duration = Duration::from_secs(2);
/// Far more than any of it takes.
const STUCK: Duration = Duration::from_secs(20);

/// An index that tells how often it was asked: only whoever sweeps asks.
struct Asked {
    index: LogIndex,
    times: Arc<AtomicUsize>,
}

impl SagaIndex for Asked {
    fn due<'a>(
        &'a self,
        before: DateTime<Utc>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Due>, IndexError>> {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.index.due(before, limit)
    }

    fn count<'a>(&'a self, before: DateTime<Utc>) -> BoxFuture<'a, Result<usize, IndexError>> {
        self.index.count(before)
    }
}

/// A sweeper of a process of its own, as far as the lease can tell.
struct Broom {
    sweeps: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Broom {
    fn start(store: &EventStore, agency: &Arc<Agency>) -> Self {
        let sweeps = Arc::new(AtomicUsize::new(0));
        let index = Asked {
            index: LogIndex::new(store.clone(), Position::ZERO),
            times: Arc::clone(&sweeps),
        };
        let pace = Pace {
            every: EVERY,
            lease: LEASE,
            ..Pace::default()
        };
        let engine = Desk::engine(store, agency);
        let sweeper = Sweeper::new(store.clone(), engine, Arc::new(index), pace);
        let stop = CancellationToken::new();
        let running = tokio::spawn(sweeper.run(stop.clone()));
        Self {
            sweeps,
            stop,
            running,
        }
    }

    fn sweeps(&self) -> usize {
        self.sweeps.load(Ordering::SeqCst)
    }

    async fn until_it_has_swept(&self, times: usize) {
        let swept = async {
            while self.sweeps() < times {
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::time::timeout(STUCK, swept).await.expect("it sweeps");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_sweeps_and_another_takes_over_when_it_is_gone() {
    each_backend(async |log: TestLog| {
        let store = log.open().await;
        let agency = Arc::new(Agency::default());
        let first = Broom::start(&store, &agency);
        first.until_it_has_swept(1).await;
        let second = Broom::start(&store, &agency);
        // Longer than a lease without its renewals, and the second asks for it all the time.
        let since = tokio::time::Instant::now();
        while since.elapsed() < LEASE * 3 / 2 {
            first.until_it_has_swept(first.sweeps() + 1).await;
        }
        assert_eq!(second.sweeps(), 0, "two sweep at once");

        // As after a crash: nobody gives the lease back.
        first.running.abort();
        assert!(
            first
                .running
                .await
                .expect_err("it was cut short")
                .is_cancelled()
        );
        second.until_it_has_swept(1).await;

        let third = Broom::start(&store, &agency);
        second.until_it_has_swept(second.sweeps() + 5).await;
        assert_eq!(third.sweeps(), 0, "two sweep at once");
        // In order: the lease is given back, and nobody has to wait for its end.
        let given_back = tokio::time::Instant::now();
        second.stop.cancel();
        second.running.await.expect("no panic");
        third.until_it_has_swept(1).await;
        assert!(
            given_back.elapsed() < LEASE,
            "after {:?}",
            given_back.elapsed()
        );
        third.stop.cancel();
        third.running.await.expect("no panic");
    })
    .await;
}
