//! Compares again and again, and at once when a provider says what our books do not.

use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::ReadError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::called_off::CalledOff;
use super::progress::{self, Progress};
use super::{Ask, Mode, ReconcileError, Reconciler, span};
use crate::saga::verbs::Request;
use crate::tenure::Tenure;

/// What the lease is called in the store: one process of a shop compares.
const LEASE: &str = "reconcile";

/// How long nobody compares after the one who did has vanished. It is renewed all the while, however long a comparison takes and
/// however far apart they are.
const LEASE_TTL: Duration = Duration::from_secs(15);

/// However many suspicions there are, comparisons because of them begin this far apart.
const APART: Duration = Duration::from_secs(2);

/// How far a comparison reaches back beyond the beginning of the last one, so that what was too young then is seen now.
pub(super) const OVERLAP: Duration = Duration::from_mins(30);

/// Who acts where no person does.
const ACTOR: &str = "reconciler";

/// What is done without anybody having asked for it.
pub(super) fn own_account(reason: &str) -> Request {
    Request {
        actor: ACTOR.to_owned(),
        reason: reason.to_owned(),
    }
}

impl Reconciler {
    /// Compares every so often until it is told to stop.
    pub async fn keep(self, every: Duration, stop: CancellationToken) {
        let owner = Uuid::now_v7();
        let mut called_off = CalledOff::new(self.fulfilment.clone());
        let mut progress = Progress::default();
        let mut tenure: Option<Tenure> = None;
        loop {
            if tenure.as_ref().is_none_or(Tenure::is_over) {
                tenure = self.turn(owner).await;
                progress.is_known = false;
            }
            let pause = match &tenure {
                Some(tenure) => {
                    let work = tenure.hold(self.work(tenure, &mut progress, &mut called_off));
                    // Whatever it is in the middle of may be done twice, and the next one does it.
                    match stop.run_until_cancelled(work).await {
                        None => break,
                        Some(Some(())) => every,
                        // By the time that this process woke, somebody else may compare.
                        Some(None) => {
                            tracing::warn!("a comparison was broken off: its turn is over");
                            every.min(LEASE_TTL)
                        }
                    }
                }
                // Whoever compares may vanish.
                None => every.min(LEASE_TTL),
            };
            if stop.run_until_cancelled(self.wait(pause)).await.is_none() {
                break;
            }
        }
        if let Some(tenure) = tenure {
            tenure.end().await;
        }
    }

    /// Nothing where it is another process's turn.
    async fn turn(&self, owner: Uuid) -> Option<Tenure> {
        let begun = Tenure::begin(&self.fulfilment.store, LEASE, owner, LEASE_TTL).await;
        begun.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot reach the reconciler's lease");
            None
        })
    }

    /// What is to be done in one turn.
    async fn work(&self, tenure: &Tenure, progress: &mut Progress, called_off: &mut CalledOff) {
        if let Err(error) = self.advance(tenure, progress).await {
            tracing::warn!(%error, "how far the books were compared cannot be read or remembered");
        }
        if let Err(error) = called_off.look(Utc::now()).await {
            tracing::warn!(%error, "the parcels that were called off cannot be found");
        }
    }

    /// One comparison, from where the last one came to, whichever process made it.
    async fn advance(&self, tenure: &Tenure, progress: &mut Progress) -> Result<(), ReadError> {
        let store = &self.fulfilment.store;
        if !progress.is_known {
            progress.seen_until = Some(progress::begin(store, LEASE, self.pace.window).await?);
            progress.is_known = true;
        }
        let before = progress.seen_until;
        progress.seen_until = self.once(before).await;
        match progress.seen_until.filter(|now| Some(*now) != before) {
            Some(now) => progress::remember(store, tenure.lease(), now).await,
            None => Ok(()),
        }
    }

    /// One comparison; the time up to which everything has been seen to.
    async fn once(&self, seen_until: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let ask = Ask {
            since: seen_until.map(|until| until - span(OVERLAP)),
            mode: Mode::Automatic,
            why: own_account("found when the books were compared"),
        };
        match self.run(&ask).await {
            Ok(report) => {
                if report.goes_on() {
                    // There is more to do than one comparison may: go on after a breath.
                    self.fulfilment.suspicion.notify_one();
                }
                report.seen_until(seen_until, span(self.pace.window))
            }
            Err(ReconcileError::Busy) => seen_until,
            Err(error) => {
                tracing::warn!(%error, "the books could not be compared");
                seen_until
            }
        }
    }

    async fn wait(&self, every: Duration) {
        let earliest = Instant::now() + APART;
        tokio::select! {
            () = sleep(every) => {}
            () = self.fulfilment.suspicion.notified() => sleep_until(earliest).await,
        }
    }
}
