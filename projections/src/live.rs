//! What this process knows of a view that it projects or rebuilds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventstore::Position;
use tokio::sync::{Notify, watch};

use crate::pulse::Pulse;
use crate::rebuild::RebuildProgress;

/// What the projector of a view is doing in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Nobody projects it here.
    #[default]
    Absent,
    /// Keeping up.
    Running,
    /// Waiting to try again after an error.
    Retrying(String),
    /// Another process projects it; this one takes over when that one stops.
    StandingBy,
    /// An operator wants it to stand still.
    Paused(String),
    /// Standing still until somebody helps.
    Stopped(String),
}

/// Shared between the projector, waiters and the status.
#[derive(Default)]
pub(crate) struct Live {
    position: watch::Sender<Position>,
    hurry: Notify,
    rebuild_wanted: Notify,
    restarts: AtomicU64,
    overtaken: AtomicU64,
    activity: Mutex<Activity>,
    rebuild: Mutex<Option<RebuildProgress>>,
    rebuild_pulse: Arc<Pulse>,
}

impl Live {
    /// The live table is here. Usually that is further than before; a view rebuilt from a replaced log
    /// may begin again earlier.
    pub(crate) fn set(&self, position: Position) {
        self.position
            .send_if_modified(|at| std::mem::replace(at, position) != position);
    }

    /// Where the live table surely is.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Somebody waits: the projector need not gather a larger page.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Returns when somebody waits.
    pub(crate) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// The view has to be folded anew.
    pub(crate) fn want_rebuild(&self) {
        self.rebuild_wanted.notify_one();
    }

    /// Returns when the view has to be folded anew.
    pub(crate) async fn rebuild_is_wanted(&self) {
        self.rebuild_wanted.notified().await;
    }

    /// The projector, or a rebuild that nobody asked for, was stuck and begins anew.
    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often one of them was stuck.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// A page of this process's projector was refused, because the view has moved on without it.
    pub(crate) fn was_overtaken(&self) {
        self.overtaken.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that happened.
    pub(crate) fn overtaken(&self) -> u64 {
        self.overtaken.load(Ordering::Relaxed)
    }

    pub(crate) fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process sees every advance of the view.
    pub(crate) fn is_projected_here(&self) -> bool {
        matches!(*self.activity(), Activity::Running)
    }

    pub(crate) fn rebuild(&self) -> MutexGuard<'_, Option<RebuildProgress>> {
        self.rebuild.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The steps of the rebuild under way in this process.
    pub(crate) fn rebuild_pulse(&self) -> &Arc<Pulse> {
        &self.rebuild_pulse
    }
}
