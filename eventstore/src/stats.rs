//! Counters for metrics and for people who look after a store, and whether its writer still works.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Events stored by this process.
    pub events: u64,
    /// Appends stored by this process.
    pub appends: u64,
    /// Appends that met another version than expected.
    pub conflicts: u64,
    /// Commits; `appends / commits` is the size of a group.
    pub commits: u64,
    /// Replies that were lost and had to be settled by reading.
    pub settled: u64,
    /// Connections of the appender that were made again.
    pub reconnects: u64,
    /// Appends refused because there was no room.
    pub full: u64,
    /// Whether the appender could reach the log when it last tried.
    pub reachable: bool,
    /// Whether a group of appends is under way.
    pub busy: bool,
}

/// How the one part does through which everything is written: the appender on Postgres, the writer thread on SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterState {
    /// The log was opened for reading only.
    None,
    /// It waits for appends.
    Idle,
    /// A round of appends has been under way for this long. Every round has time limits of its own, far below a minute; a file
    /// system that hangs has none.
    Busy(Duration),
    /// It is gone and nothing will be stored any more; only opening the log again helps.
    Ended,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) events: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) settled: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) full: AtomicU64,
    pub(crate) reachable: AtomicBool,
    pub(crate) busy: AtomicBool,
    round: Mutex<Option<Instant>>,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
    }

    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// Notes that the writer has begun a round, or that it has ended one.
    pub(crate) fn set_round(&self, began: Option<Instant>) {
        *self.round.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    /// How a writer does that still has its queue.
    pub(crate) fn writer_state(&self) -> WriterState {
        let began = *self.round.lock().unwrap_or_else(PoisonError::into_inner);
        began.map_or(WriterState::Idle, |began| {
            WriterState::Busy(began.elapsed())
        })
    }

    pub(crate) fn snapshot(&self) -> StoreStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            events: read(&self.events),
            appends: read(&self.appends),
            conflicts: read(&self.conflicts),
            commits: read(&self.commits),
            settled: read(&self.settled),
            reconnects: read(&self.reconnects),
            full: read(&self.full),
            reachable: self.reachable.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
        }
    }
}
