//! Orders that arrive at a fixed rate, whether or not earlier ones have been answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::figures::{Latencies, count, per};
use super::http::HttpClient;
use super::shop::{Outcome, Shop};

/// Below this the timer itself is too coarse to space requests.
const ARRIVALS_EVERY: Duration = Duration::from_millis(1);
/// Stays below the 1,024 files that a process may usually have open; more arrivals wait, and their wait counts.
const CONNECTIONS_MAX: usize = 900;

/// What became of the orders of one run.
#[derive(Debug, Default)]
pub(super) struct OpenLoop {
    pub(super) answered: Latencies,
    pub(super) announced: Latencies,
    pub(super) pending: u64,
    pub(super) refused: u64,
    /// When the last order that was refused had arrived, from the start of the run.
    pub(super) last_refused: Duration,
    length: Duration,
}

impl OpenLoop {
    /// Orders paid a second.
    pub(super) fn goodput(&self) -> f64 {
        per(count(self.answered.len() as u64), self.length.as_secs_f64())
    }

    fn record(&mut self, arrived: Duration, outcome: &Outcome) {
        match *outcome {
            Outcome::Placed {
                answered,
                announced,
            } => {
                self.answered.record(answered);
                self.announced.record(announced);
            }
            Outcome::Pending => self.pending += 1,
            Outcome::Refused => {
                self.refused += 1;
                self.last_refused = self.last_refused.max(arrived);
            }
        }
    }
}

#[derive(Clone)]
struct Connections {
    shop: Shop,
    idle: Arc<Mutex<Vec<HttpClient>>>,
    permits: Arc<Semaphore>,
}

impl Connections {
    /// The time to get a connection counts: a customer waits for it too.
    async fn order(self, arrived: Instant) -> anyhow::Result<Outcome> {
        let permit = self.permits.acquire().await.context("the run has ended")?;
        let taken = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let client = match taken {
            Some(client) => client,
            None => self.shop.connect().await?,
        };
        let give_back = |client| {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(client);
            drop(permit);
        };
        self.shop.order(client, arrived, give_back).await
    }
}

/// Lets `rate` orders a second arrive for `length`, then waits until all have been answered and announced.
pub(super) async fn open_loop(
    shop: &Shop,
    rate: f64,
    length: Duration,
) -> anyhow::Result<OpenLoop> {
    let connections = Connections {
        shop: shop.clone(),
        idle: Arc::default(),
        permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
    };
    let mut result = OpenLoop {
        length,
        ..OpenLoop::default()
    };
    let mut placing = JoinSet::new();
    let mut ticks = interval(ARRIVALS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut sent = 0_u64;
    while began.elapsed() < length {
        ticks.tick().await;
        while count(sent) < began.elapsed().as_secs_f64() * rate {
            let arrived = Instant::now();
            let order = connections.clone().order(arrived);
            placing.spawn(async move { (arrived.duration_since(began), order.await) });
            sent += 1;
        }
        while let Some(ended) = placing.try_join_next() {
            let (arrived, outcome) = ended.context("an order panicked")?;
            result.record(arrived, &outcome?);
        }
    }
    while let Some(ended) = placing.join_next().await {
        let (arrived, outcome) = ended.context("an order panicked")?;
        result.record(arrived, &outcome?);
    }
    Ok(result)
}
