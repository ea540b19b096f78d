//! Compares the providers' books with ours, and sets right what can be.
//!
//! * [`join`] (pure) compares one order's records with its log; [`finding`] says what may come of it.
//! * [`Reconciler`] reads both sides, asks once more where the provider seems to know nothing, and acts.
//! * [`restitution`] and [`mismatch`] are the sagas behind what it does, [`denial`] the one that has it ask about a charge.

mod books;
pub mod called_off;
pub(super) mod denial;
pub(super) mod doubt;
pub mod finding;
mod fix;
mod job;
pub mod join;
mod meter;
pub(super) mod mismatch;
mod progress;
pub mod report;
pub(super) mod restitution;
mod verify;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use eventstore::ReadError;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::Fulfilment;
use super::facts::Facts;
use crate::saga::verbs::Request;
use crate::saga::view::{LeftAlone, LoadError, Snapshot};
use books::Records;
use finding::Finding;
use join::{Inside, Outside, Window};
use report::{Entry, Report};
use verify::Look;

/// Of what time, and how sharply, is compared.
#[derive(Debug, Clone)]
pub struct Pace {
    /// What is younger in the log is not missed at the provider yet: its list may be a moment behind, and so may a clock.
    pub grace: Duration,
    /// So much older than what is compared are the provider's records that are read: a charge is in its books before it is in
    /// ours, at most by the time that we look for one.
    pub margin: Duration,
    /// How far the first comparison looks back, and how long one comes back to what it could not set right.
    pub window: Duration,
    /// How much one comparison sets right or hands to people. The next one begins where it stopped.
    pub at_once: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            margin: Duration::from_hours(2),
            window: Duration::from_hours(24),
            at_once: 1_000,
        }
    }
}

/// What a comparison may do about what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Look,
    /// What is right whoever asks; the rest goes into a person's hands.
    Automatic,
    /// Also what is right only if our log is whole: a person says so.
    Requested,
}

/// A comparison that somebody wants.
#[derive(Debug, Clone)]
pub struct Ask {
    /// From when on; by default as far back as [`Pace::window`] says.
    pub since: Option<DateTime<Utc>>,
    /// What it may do.
    pub mode: Mode,
    /// Who wants it, and why.
    pub why: Request,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Another one is under way here.
    #[error("a comparison is under way")]
    Busy,
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
}

/// Compares books. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Reconciler {
    fulfilment: Fulfilment,
    pace: Pace,
    /// Whoever holds it compares; in it, the order to begin with.
    turn: Arc<Mutex<String>>,
    last: Arc<watch::Sender<Option<Arc<Report>>>>,
}

impl Reconciler {
    /// A reconciler for these orders.
    #[must_use]
    pub fn new(fulfilment: Fulfilment, pace: Pace) -> Self {
        Self {
            fulfilment,
            pace,
            turn: Arc::default(),
            last: Arc::new(watch::Sender::new(None)),
        }
    }

    /// What the last comparison came to, if there was one in this process.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Report>> {
        self.last.borrow().clone()
    }

    /// Whether a comparison is under way here.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.turn.try_lock().is_err()
    }

    /// Compares, and does what it may.
    pub async fn run(&self, ask: &Ask) -> Result<Arc<Report>, ReconcileError> {
        let mut first = self.turn.try_lock().map_err(|_| ReconcileError::Busy)?;
        let report = self.compare(ask, &first).await;
        meter::ran(report.as_ref().ok());
        let report = Arc::new(report?);
        if ask.mode != Mode::Look {
            *first = report.next.clone().unwrap_or_default();
        }
        self.last.send_replace(Some(Arc::clone(&report)));
        Ok(report)
    }

    async fn compare(&self, ask: &Ask, first: &str) -> Result<Report, ReconcileError> {
        let started_at = Utc::now();
        let since = ask
            .since
            .unwrap_or_else(|| started_at - span(self.pace.window));
        let mut records =
            books::records(&self.fulfilment.providers, since - span(self.pace.margin)).await;
        let until = self.until(since, started_at, &mut records);
        let window = Window {
            since,
            until: until.min(started_at - span(self.pace.grace)),
            money: records.money_gap.is_none(),
            parcels: records.parcels_gap.is_none(),
        };
        let moved = books::moved(&self.fulfilment.store, since, until).await?;
        let mut report = Report {
            until,
            records: records.count,
            unread: unread(&mut records),
            ..Report::new(started_at, since)
        };
        for order in names(&records, moved, first) {
            report.orders += 1;
            let outside = records.orders.remove(&order).unwrap_or_default();
            self.judge(&order, &outside, &window, ask, &mut report)
                .await?;
        }
        report.finished_at = Utc::now();
        Ok(report)
    }

    /// Up to when a comparison comes. One that could not get beyond what it begins with says so instead.
    fn until(
        &self,
        since: DateTime<Utc>,
        started_at: DateTime<Utc>,
        records: &mut Records,
    ) -> DateTime<Utc> {
        let Some(cut_at) = records.cut_at else {
            return started_at;
        };
        if cut_at > since + span(job::OVERLAP) {
            return cut_at;
        }
        let why = "there are more records than one comparison holds";
        records.money_gap.get_or_insert_with(|| why.to_owned());
        started_at
    }

    async fn judge(
        &self,
        order: &str,
        outside: &Outside,
        window: &Window,
        ask: &Ask,
        report: &mut Report,
    ) -> Result<(), ReconcileError> {
        let Known::Is(inside) = self.inside(order).await? else {
            // Nobody has compared it, so nobody may take it for compared.
            report.left += 1;
            return Ok(());
        };
        // Younger ones are seen again in any case.
        let seen_again = report.until - span(job::OVERLAP);
        if inside
            .as_deref()
            .is_some_and(|it| join::is_undecided(it, outside, seen_again))
        {
            report.left += 1;
        }
        for finding in join::compare(order, inside.as_deref(), outside, window) {
            match self.second_look(finding, inside.as_deref()).await {
                Look::Refuted => {}
                Look::Open => report.left += 1,
                Look::Stands(finding)
                    if ask.mode != Mode::Look && report.done >= self.pace.at_once =>
                {
                    report.take(Entry::postponed(*finding));
                }
                Look::Stands(finding) => {
                    report.take(
                        self.act(*finding, inside.as_deref(), ask.mode, &ask.why)
                            .await,
                    );
                }
            }
        }
        Ok(())
    }

    async fn act(
        &self,
        finding: Finding,
        inside: Option<&Inside>,
        mode: Mode,
        why: &Request,
    ) -> Entry {
        let (action, saga_id) = self.apply(&finding, inside, mode, why).await;
        tracing::warn!(order = %finding.order_id, code = finding.code, ?action, "the provider's books and ours differ");
        meter::acted(&action);
        Entry {
            finding,
            action,
            saga_id,
        }
    }

    /// The log's side of an order.
    async fn inside(&self, order: &str) -> Result<Known, ReadError> {
        let Ok(order_id) = Uuid::try_parse(order) else {
            return Ok(Known::Is(None));
        };
        let (snapshot, _) = match Snapshot::load(&self.fulfilment.store, order_id).await {
            Ok(loaded) => loaded,
            Err(LoadError::Read(error)) => return Err(error),
            Err(LoadError::LeftAlone(LeftAlone::NotFound)) => return Ok(Known::Is(None)),
            Err(LoadError::LeftAlone(left @ LeftAlone::Unreadable(_))) => {
                tracing::error!(order, why = %left, "an order cannot be compared by anybody");
                return Ok(Known::ForOthers);
            }
            Err(LoadError::LeftAlone(_)) => return Ok(Known::ForOthers),
        };
        let Ok(facts) = Facts::fold(snapshot.history.events()) else {
            return Ok(Known::ForOthers);
        };
        let saga = snapshot.state.as_ref().clone();
        let store = &self.fulfilment.store;
        let given_up = restitution::given_up(store, order_id, facts.payment.as_ref()).await?;
        Ok(Known::Is(Some(Box::new(Inside {
            order_id,
            facts,
            saga,
            given_up,
        }))))
    }
}

/// What the log knows of an order.
enum Known {
    /// This, or nothing.
    Is(Option<Box<Inside>>),
    /// Something that only a newer build can judge, or nobody.
    ForOthers,
}

/// All orders that either side names, from this one on and then those before it.
fn names(records: &Records, moved: BTreeSet<Uuid>, first: &str) -> Vec<String> {
    let moved = moved.into_iter().map(|id| id.to_string());
    let mut names: BTreeSet<_> = moved.chain(records.orders.keys().cloned()).collect();
    let mut turned = Vec::from_iter(names.split_off(first));
    turned.extend(names);
    turned
}

fn unread(records: &mut Records) -> Vec<String> {
    let gaps = [
        ("payment", records.money_gap.take()),
        ("carrier", records.parcels_gap.take()),
    ];
    let gaps = gaps.into_iter();
    gaps.filter_map(|(books, gap)| Some(format!("{books}: {}", gap?)))
        .collect()
}

fn span(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}
