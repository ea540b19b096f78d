//! Finds sagas that are due and that nobody looks after: the safety net under every wake-up, timer and task that was lost.
//!
//! One process sweeps at a time, by a lease in the store; the others stand by.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::EventStore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::engine::Engine;
use super::index::{Due, IndexError, SagaIndex};
use super::meter;
use super::plan::span;

/// The lease all sweepers of one log compete for.
const LEASE: &str = "saga-sweeper";
/// Several sweeps long, so that one slow sweep does not hand the lease over.
const LEASE_TTL: Duration = Duration::from_secs(15);
/// How many of the wedged are named in the report.
const NAMED: usize = 10;

/// How a sweeper is set up.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two sweeps.
    pub every: Duration,
    /// Woken per sweep at most: after a long outage the participants get this load, not all of it at once.
    pub batch: usize,
    /// A saga that has been due for less is left to the process that has it in hand.
    pub grace: Duration,
    /// A saga that was woken is not woken again before this time, so that those that stay due do not keep others waiting.
    pub again_after: Duration,
    /// A saga that has been due for more is reported.
    pub wedged_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            batch: 500,
            grace: Duration::from_secs(5),
            again_after: Duration::from_secs(30),
            wedged_after: Duration::from_secs(300),
        }
    }
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Sagas that were woken, oldest first.
    pub woken: Vec<Uuid>,
    /// Those that have been due for so long that waking them does not seem to help.
    pub wedged: Vec<Due>,
}

/// Sweeps for one engine.
pub struct Sweeper {
    store: EventStore,
    engine: Engine,
    index: Arc<dyn SagaIndex>,
    pace: Pace,
    owner: Uuid,
    /// When each was woken last; as many as one `again_after` can hold.
    woken: HashMap<Uuid, DateTime<Utc>>,
    reported: Option<DateTime<Utc>>,
}

impl Sweeper {
    /// A sweeper that wakes sagas of this engine.
    pub fn new(store: EventStore, engine: Engine, index: Arc<dyn SagaIndex>, pace: Pace) -> Self {
        Self {
            store,
            engine,
            index,
            pace,
            owner: Uuid::now_v7(),
            woken: HashMap::new(),
            reported: None,
        }
    }

    /// Sweeps until it is told to stop, then gives the lease back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut lease = None;
        loop {
            match self.store.try_lease(LEASE, self.owner, LEASE_TTL).await {
                Ok(held) => lease = held,
                Err(error) => tracing::warn!(%error, "cannot reach the sweeper's lease"),
            }
            if lease.is_some()
                && let Err(error) = self.sweep().await
            {
                tracing::warn!(%error, "the sweep was cut short");
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(self.pace.every))
                .await
                .is_none()
            {
                break;
            }
        }
        if let Some(lease) = lease {
            // It runs out by itself if the store cannot be reached.
            drop(self.store.release_lease(&lease).await);
        }
    }

    /// Wakes what is due, oldest first, as much as the pace allows.
    pub async fn sweep(&mut self) -> Result<Sweep, IndexError> {
        let now = self.engine.inner.clock.now();
        let again = span(self.pace.again_after);
        self.woken.retain(|_, at| now < *at + again);
        let limit = self.pace.batch + self.woken.len();
        let due = self.index.due(now - span(self.pace.grace), limit).await?;
        let mut sweep = Sweep::default();
        for due in due {
            if due.at <= now - span(self.pace.wedged_after) {
                sweep.wedged.push(due);
            }
            let known = self.engine.is_live(due.id) || self.woken.contains_key(&due.id);
            if !known && sweep.woken.len() < self.pace.batch {
                self.engine.wake(due.id);
                self.woken.insert(due.id, now);
                sweep.woken.push(due.id);
            }
        }
        meter::wedged(sweep.wedged.len());
        self.report(&sweep.wedged, now);
        Ok(sweep)
    }

    /// Once per `wedged_after`, so that the report does not drown what it is about.
    fn report(&mut self, wedged: &[Due], now: DateTime<Utc>) {
        let recently = self
            .reported
            .is_some_and(|at| now < at + span(self.pace.wedged_after));
        if wedged.is_empty() || recently {
            return;
        }
        self.reported = Some(now);
        let named: Vec<String> = wedged
            .iter()
            .take(NAMED)
            .map(|due| due.id.to_string())
            .collect();
        tracing::error!(count = wedged.len(), oldest = ?named, "sagas are overdue although they were woken");
    }
}
