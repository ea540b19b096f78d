//! Callers that each wait for their answer before they call again.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use super::figures::Latencies;

/// One of many callers, with whatever it needs to call.
pub(super) trait Caller: Send + 'static {
    /// Makes one call and waits until it is done.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What the callers did together. They come back, so that their connections outlive the measurement.
pub(super) struct Rounds<C> {
    pub(super) latencies: Latencies,
    pub(super) elapsed: Duration,
    pub(super) callers: Vec<C>,
}

/// Lets every caller call until `length` is over; a call that has begun is finished and counted.
pub(super) async fn closed_loop<C: Caller>(
    callers: Vec<C>,
    length: Duration,
) -> anyhow::Result<Rounds<C>> {
    let began = Instant::now();
    let until = began + length;
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        tasks.spawn(async move {
            let mut latencies = Latencies::default();
            while Instant::now() < until {
                let called = Instant::now();
                caller.call().await?;
                latencies.record(called.elapsed());
            }
            anyhow::Ok((caller, latencies))
        });
    }
    let mut rounds = Rounds {
        latencies: Latencies::default(),
        elapsed: Duration::ZERO,
        callers: Vec::new(),
    };
    while let Some(ended) = tasks.join_next().await {
        let (caller, latencies) = ended.context("a caller panicked")??;
        rounds.latencies.merge(latencies);
        rounds.callers.push(caller);
    }
    rounds.elapsed = began.elapsed();
    Ok(rounds)
}
