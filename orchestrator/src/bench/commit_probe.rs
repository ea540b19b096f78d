//! What a single commit takes while something else loads the server.

use std::time::{Duration, Instant};

use anyhow::Context;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::closed_loop::Caller;
use super::figures::Latencies;
use super::raw::RawInsert;

/// Often enough for a p99 within seconds, seldom enough to be no load of its own.
const EVERY: Duration = Duration::from_millis(10);

/// Inserts a row of the baseline's now and then until stopped.
pub(super) struct CommitProbe {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Latencies>>,
}

impl CommitProbe {
    pub(super) async fn start(url: &SecretString) -> anyhow::Result<Self> {
        let insert = RawInsert::open(url).await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(probe(insert, stop.clone()));
        Ok(Self { stop, task })
    }

    pub(super) async fn stop(self) -> anyhow::Result<Latencies> {
        self.stop.cancel();
        self.task.await.context("the probe panicked")?
    }
}

async fn probe(mut insert: RawInsert, stop: CancellationToken) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let called = Instant::now();
        insert.call().await?;
        latencies.record(called.elapsed());
    }
    Ok(latencies)
}
