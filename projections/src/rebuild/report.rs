//! What a rebuild tells of itself: how far it is, and what it has done.

use std::time::{Duration, Instant};

use eventstore::Position;
use serde::Serialize;

use crate::site::Site;
use crate::verify::Verification;

/// What a rebuild is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Reading the log and folding it.
    Reading,
    /// Making indexes.
    Indexing,
    /// Comparing the new table with the live one.
    Comparing,
    /// Taking what was appended meanwhile, and then the place of the live table.
    CatchingUp,
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildProgress {
    /// What it is doing.
    pub phase: Phase,
    /// Events examined.
    pub position: Position,
    /// Events to examine, as far as is known.
    pub total: Position,
    /// Events examined in a second, on the average of this run.
    pub per_second: f64,
    /// How long the rest of the events will take at that rate; nothing before there is a rate.
    pub eta_seconds: Option<f64>,
}

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// Events that the new table has taken.
    pub events: i64,
    /// The new table's place in the log.
    pub position: Position,
    /// Number of the new table.
    pub generation: i64,
    /// Events that this run could not take.
    pub parked_events: u64,
    /// Workers that folded.
    pub workers: usize,
    /// Whether readers see the new table now. If not, it is kept, and a rebuild that resumes it ends it.
    pub live: bool,
    /// What the comparison with the live table has found, if there was one.
    pub verification: Option<Verification>,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// Tells the progress to the caller and to the view's status; takes it off the status when dropped, also
/// with the rebuild's future.
pub(super) struct Reporter<'a> {
    site: &'a Site,
    progress: &'a mut (dyn FnMut(RebuildProgress) + Send),
    started: Instant,
    from: Option<Position>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(
        site: &'a Site,
        progress: &'a mut (dyn FnMut(RebuildProgress) + Send),
    ) -> Self {
        Self {
            site,
            progress,
            started: Instant::now(),
            from: None,
        }
    }

    /// How long the rebuild has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn tell(&mut self, phase: Phase, position: Position, total: Position) {
        let from = *self.from.get_or_insert(position);
        let done = (position.0 - from.0) as f64;
        let per_second = done / self.started.elapsed().as_secs_f64().max(1e-6);
        let left = (total.0 - position.0).max(0) as f64;
        let now = RebuildProgress {
            phase,
            position,
            total,
            per_second,
            eta_seconds: (per_second > 0.0).then(|| left / per_second),
        };
        self.site.live.rebuild_pulse().beat();
        *self.site.live.rebuild() = Some(now);
        (self.progress)(now);
    }
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        *self.site.live.rebuild() = None;
    }
}
