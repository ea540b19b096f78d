//! Finds sagas that are due and that nobody looks after: the safety net under every wake-up, timer and task that was lost.
//!
//! One process sweeps at a time, by a lease in the store; the others stand by. One that finds sagas which its build does not
//! understand lets another have the lease for a while: perhaps that is a newer build, and nobody else would find them.

mod memory;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::{EventStore, Lease};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::engine::Engine;
use super::index::{Due, IndexError, SagaIndex};
use super::meter;
use super::plan::span;
use crate::tenure::before;
use memory::{Memory, Turn, Way};

/// The lease all sweepers of one log compete for.
const LEASE: &str = "saga-sweeper";
/// Sweeps that one who found what it does not understand leaves to the others.
const TURNS_LEFT: u32 = 3;
/// How many leases a sweep may take.
const LEASES_A_SWEEP: u32 = 4;
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
    /// How long a process that fell silent keeps the others from sweeping: several sweeps, so that one slow sweep does not hand
    /// the lease over.
    pub lease: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            batch: 500,
            grace: Duration::from_secs(5),
            again_after: Duration::from_secs(30),
            wedged_after: Duration::from_secs(300),
            lease: Duration::from_secs(15),
        }
    }
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Sagas that were woken.
    pub woken: Vec<Uuid>,
    /// How many of those were passed on before, and stayed due all the same.
    pub in_vain: usize,
    /// How many have been due for so long that waking them does not seem to help.
    pub wedged: usize,
    /// The oldest of those, as many as are named in a report.
    pub oldest: Vec<Due>,
}

/// Sweeps for one engine.
pub struct Sweeper {
    store: EventStore,
    engine: Engine,
    index: Arc<dyn SagaIndex>,
    pace: Pace,
    owner: Uuid,
    woken: Memory,
    reported: Option<DateTime<Utc>>,
    /// When it was said last that wake-ups are passed on in vain.
    doubted: Option<DateTime<Utc>>,
}

impl Sweeper {
    /// A sweeper that wakes sagas of this engine, or of any where they are told apart.
    pub fn new(store: EventStore, engine: Engine, index: Arc<dyn SagaIndex>, pace: Pace) -> Self {
        Self {
            store,
            engine,
            index,
            pace,
            owner: Uuid::now_v7(),
            woken: Memory::new(span(pace.again_after)),
            reported: None,
            doubted: None,
        }
    }

    /// Sweeps until it is told to stop, then gives the lease back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut lease;
        let mut left_alone = self.engine.left_alone();
        loop {
            // An index that is slow is no reason not to sweep at all: two that sweep at once wake twice, which does no harm.
            let end = Instant::now() + self.pace.lease * LEASES_A_SWEEP;
            match self
                .store
                .try_lease(LEASE, self.owner, self.pace.lease)
                .await
            {
                Ok(held) => lease = held,
                Err(error) => {
                    tracing::warn!(%error, "cannot reach the sweeper's lease");
                    lease = None;
                }
            }
            if lease.is_some() {
                match before(end, self.sweep()).await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => tracing::warn!(%error, "the sweep was cut short"),
                    // Another process may sweep by now: this one was frozen, or the index took too long.
                    None => tracing::warn!("a sweep was broken off: its turn is over"),
                }
            }
            let mut pause = self.pace.every;
            if self.engine.left_alone() > left_alone {
                left_alone = self.engine.left_alone();
                self.give_back(lease.take()).await;
                pause *= TURNS_LEFT;
            }
            let pausing = tokio::time::sleep(pause);
            if stop.run_until_cancelled(pausing).await.is_none() {
                break;
            }
        }
        self.give_back(lease).await;
    }

    async fn give_back(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            // It runs out by itself if the store cannot be reached.
            drop(self.store.release_lease(&lease).await);
        }
    }

    /// Wakes what is due, as much as the pace allows.
    pub async fn sweep(&mut self) -> Result<Sweep, IndexError> {
        let now = self.engine.inner.clock.now();
        // Those that are in hand or have just been woken may all be older than the rest and must not hide it.
        let limit = self.pace.batch + self.woken.len() + self.engine.live();
        let due = self.index.due(now - span(self.pace.grace), limit).await?;
        self.woken.forget(&due, due.len() < limit, now);
        let wedged_since = now - span(self.pace.wedged_after);
        let wedged = due.iter().take_while(|due| due.at <= wedged_since);
        let mut sweep = Sweep {
            oldest: wedged.take(NAMED).copied().collect(),
            ..Sweep::default()
        };
        self.wake(&due, now, &mut sweep);
        if !sweep.oldest.is_empty() {
            sweep.wedged = self.index.count(wedged_since).await?;
        }
        meter::wedged(sweep.wedged);
        self.report(&sweep, now);
        Ok(sweep)
    }

    /// What is not woken stays due, and is found by the next sweep. Those that stay due although they were woken are the oldest, and while a
    /// participant is away there may be more of them than are woken before the first one's turn comes again. So half of a sweep is for
    /// those that were not woken yet, and of the others whoever has waited longest comes first.
    fn wake(&mut self, due: &[Due], now: DateTime<Utc>, sweep: &mut Sweep) {
        let (mut known, fresh): (Vec<&Due>, Vec<&Due>) =
            due.iter().partition(|due| self.woken.last(due).is_some());
        known.sort_by_key(|due| self.woken.last(due));
        let batch = self.pace.batch;
        for (list, most) in [
            (&fresh, batch.div_ceil(2)),
            (&known, batch),
            (&fresh, batch),
        ] {
            self.wake_some(list, most, now, sweep);
        }
    }

    /// Wakes them in this order, until there are so many in the sweep.
    fn wake_some(&mut self, list: &[&Due], most: usize, now: DateTime<Utc>, sweep: &mut Sweep) {
        for due in list {
            if sweep.woken.len() >= most {
                return;
            }
            if self.engine.is_live(due.id) {
                continue;
            }
            let turn = self.woken.turn(due, now);
            let way = match turn {
                Turn::Later => continue,
                Turn::Anywhere if self.engine.pass_on(due.id) => Way::PassedOn,
                Turn::Anywhere | Turn::Here if self.engine.wake_unasked(due.id) => Way::Here,
                // Others may have their turn with those who can be told.
                Turn::Here => continue,
                // Nobody can be told, and there is no place here.
                Turn::Anywhere => return,
            };
            sweep.in_vain += usize::from(turn == Turn::Here);
            meter::swept(match (turn, way) {
                (_, Way::PassedOn) => "passed-on",
                (Turn::Here, Way::Here) => "passed-on-in-vain",
                (_, Way::Here) => "here",
            });
            self.woken.note(**due, now, way);
            sweep.woken.push(due.id);
        }
    }

    /// Each once per `wedged_after`, so that the report does not drown what it is about.
    fn report(&mut self, sweep: &Sweep, now: DateTime<Utc>) {
        let pause = span(self.pace.wedged_after);
        let recently = |last: Option<DateTime<Utc>>| last.is_some_and(|at| now < at + pause);
        if sweep.in_vain > 0 && !recently(self.doubted) {
            self.doubted = Some(now);
            tracing::warn!(
                count = sweep.in_vain,
                "sagas stay due although their wake-ups were taken: they are not delivered, or a participant is away; waking them here"
            );
        }
        if sweep.wedged == 0 || recently(self.reported) {
            return;
        }
        self.reported = Some(now);
        let named: Vec<String> = sweep.oldest.iter().map(|due| due.id.to_string()).collect();
        tracing::error!(count = sweep.wedged, oldest = ?named, "sagas are overdue although they were woken");
    }
}
