//! Orders that arrive at a fixed rate, whether or not earlier ones have been answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::figures::{Latencies, count, per};
use super::http::HttpClient;
use super::shop::{Outcome, Shop};

/// Below this the timer itself is too coarse to space requests.
const ARRIVALS_EVERY: Duration = Duration::from_millis(1);
/// Stays below the 1,024 files that a process may usually have open; more arrivals wait, and their wait counts.
const CONNECTIONS_MAX: usize = 900;
/// The server closes a connection that is idle for half a minute.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// An order that takes longer is not what a server gives that has nothing else to do.
const SLOW: Duration = Duration::from_secs(1);

/// What became of the orders of one run.
#[derive(Debug, Default)]
pub(super) struct OpenLoop {
    /// How long the paid ones waited for their answer, whenever it came.
    pub(super) answered: Latencies,
    pub(super) announced: Latencies,
    /// Answered with 202: not paid, and not refused either.
    pub(super) pending: u64,
    pub(super) refused: u64,
    /// Arrived, but the run was over before there was a connection for them: the server has not seen them.
    unsent: u64,
    /// Paid within the run. What is answered after it was done in time that does not count.
    paid_in_time: u64,
    /// When the last order arrived that was refused, left pending or answered slowly, from the start of the run.
    pub(super) troubled_until: Duration,
    length: Duration,
}

impl OpenLoop {
    /// Orders paid a second, within the run.
    pub(super) fn goodput(&self) -> f64 {
        per(count(self.paid_in_time), self.length.as_secs_f64())
    }

    /// Orders that the server was sent a second: what was meant to arrive, unless the generator could not keep up.
    pub(super) fn offered(&self) -> f64 {
        per(count(self.sent()), self.length.as_secs_f64())
    }

    pub(super) fn sent(&self) -> u64 {
        self.answered.len() as u64 + self.pending + self.refused
    }

    fn record(&mut self, arrived: Duration, outcome: &Outcome) {
        let mut troubled = true;
        match *outcome {
            Outcome::Placed {
                answered,
                announced,
            } => {
                self.answered.record(answered);
                self.announced.record(announced);
                self.paid_in_time += u64::from(arrived + answered <= self.length);
                troubled = answered > SLOW;
            }
            Outcome::Pending => self.pending += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Unsent => self.unsent += 1,
        }
        if troubled {
            self.troubled_until = self.troubled_until.max(arrived);
        }
    }
}

/// Connections that all runs share, so that two at once do not open too many.
#[derive(Clone)]
pub(super) struct Connections {
    shop: Shop,
    /// Each with the time since when nobody has used it; the last one is the freshest.
    idle: Arc<Mutex<Vec<(HttpClient, Instant)>>>,
    permits: Arc<Semaphore>,
}

impl Connections {
    pub(super) fn new(shop: Shop) -> Self {
        Self {
            shop,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// A connection that the server has surely not closed yet.
    fn fresh(&self) -> Option<HttpClient> {
        let mut idle = self.idle();
        let (client, since) = idle.pop()?;
        if since.elapsed() < IDLE_MAX {
            return Some(client);
        }
        // All others have been idle for even longer.
        idle.clear();
        None
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(HttpClient, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time to get a connection counts: a customer waits for it too, until there is no point any more.
    async fn order(self, arrived: Instant, gone: CancellationToken) -> anyhow::Result<Outcome> {
        let Some(permit) = gone.run_until_cancelled(self.permits.acquire()).await else {
            return Ok(Outcome::Unsent);
        };
        let permit = permit.context("the run has ended")?;
        let client = match self.fresh() {
            Some(client) => client,
            None => self.shop.connect().await?,
        };
        let give_back = |client| {
            self.idle().push((client, Instant::now()));
            drop(permit);
        };
        self.shop.order(client, arrived, give_back).await
    }
}

/// Orders on their way, from the first arrival to the last answer.
struct Crowd {
    connections: Connections,
    placing: JoinSet<(Duration, anyhow::Result<Outcome>)>,
    /// Whoever has no connection by now leaves.
    gone: CancellationToken,
    result: OpenLoop,
}

impl Crowd {
    /// Lets `rate` orders a second arrive for `length`.
    async fn arrive(
        connections: &Connections,
        rate: f64,
        length: Duration,
    ) -> anyhow::Result<Self> {
        let mut crowd = Self {
            connections: connections.clone(),
            placing: JoinSet::new(),
            gone: CancellationToken::new(),
            result: OpenLoop {
                length,
                ..OpenLoop::default()
            },
        };
        let mut ticks = interval(ARRIVALS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let mut arrivals = 0_u64;
        while began.elapsed() < length {
            ticks.tick().await;
            while count(arrivals) < began.elapsed().min(length).as_secs_f64() * rate {
                let arrived = Instant::now();
                let order = crowd.connections.clone().order(arrived, crowd.gone.clone());
                crowd
                    .placing
                    .spawn(async move { (arrived.duration_since(began), order.await) });
                arrivals += 1;
            }
            while let Some(ended) = crowd.placing.try_join_next() {
                let (arrived, outcome) = ended.context("an order panicked")?;
                crowd.result.record(arrived, &outcome?);
            }
        }
        Ok(crowd)
    }

    /// Waits until all have been answered and announced.
    async fn leave(mut self) -> anyhow::Result<OpenLoop> {
        while let Some(ended) = self.placing.join_next().await {
            let (arrived, outcome) = ended.context("an order panicked")?;
            self.result.record(arrived, &outcome?);
        }
        Ok(self.result)
    }
}

/// Lets `rate` orders a second arrive for `length`, then waits until all have been answered and announced.
pub(super) async fn open_loop(
    connections: &Connections,
    rate: f64,
    length: Duration,
) -> anyhow::Result<OpenLoop> {
    let crowd = Crowd::arrive(connections, rate, length).await?;
    crowd.leave().await
}

/// How many arrive, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrivals {
    pub(super) rate: f64,
    pub(super) length: Duration,
}

/// One run right after another: the second begins when the last order of the first has arrived, whatever is still in the
/// server's hands. Orders of the first that have got no connection by then leave.
pub(super) async fn one_upon_the_other(
    connections: &Connections,
    first: Arrivals,
    second: Arrivals,
) -> anyhow::Result<(OpenLoop, OpenLoop)> {
    let crowd = Crowd::arrive(connections, first.rate, first.length).await?;
    crowd.gone.cancel();
    tokio::try_join!(
        crowd.leave(),
        open_loop(connections, second.rate, second.length)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(answered_ms: u64) -> Outcome {
        let answered = Duration::from_millis(answered_ms);
        Outcome::Placed {
            answered,
            announced: answered,
        }
    }

    #[test]
    fn what_is_answered_after_the_run_is_no_goodput_and_what_was_never_sent_was_not_offered() {
        let mut run = OpenLoop {
            length: Duration::from_secs(2),
            ..OpenLoop::default()
        };
        let at = Duration::from_millis;
        for (arrived, outcome) in [
            (at(0), placed(10)),
            (at(1_990), placed(10)),
            (at(1_991), placed(10)),
            (at(1_000), Outcome::Refused),
            (at(1_500), Outcome::Pending),
            (at(1_995), Outcome::Unsent),
        ] {
            run.record(arrived, &outcome);
        }
        assert_eq!((run.goodput(), run.offered(), run.sent()), (1.0, 2.5, 5));
    }

    #[test]
    fn a_run_is_in_trouble_until_the_last_order_that_is_not_paid_quickly() {
        let mut run = OpenLoop::default();
        let at = Duration::from_secs;
        run.record(at(1), &Outcome::Refused);
        run.record(at(9), &placed(999));
        assert_eq!(run.troubled_until, at(1));
        run.record(at(2), &Outcome::Pending);
        run.record(at(3), &placed(1_001));
        assert_eq!(run.troubled_until, at(3));
    }
}
