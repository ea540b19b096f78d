//! Counters for metrics and for people who look after a store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
