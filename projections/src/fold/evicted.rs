//! Rows that left the memory of a rebuild, on their way to its table.

use std::collections::VecDeque;

use uuid::Uuid;

use super::{Changes, Entry, StoredRow};
use crate::projection::Projection;

/// Rows on their way, in the order of `seq`.
pub(crate) struct Evicted<P: Projection> {
    rows: VecDeque<(Uuid, Box<Entry<P::Row>>)>,
}

/// A part of them as the table takes it.
pub(crate) struct Writes {
    /// Rows of keys that the table does not have yet.
    pub(crate) fresh: Vec<StoredRow>,
    /// Changes to others.
    pub(crate) changed: Changes,
}

impl<P: Projection> Evicted<P> {
    pub(super) fn new(rows: Vec<(Uuid, Box<Entry<P::Row>>)>) -> Self {
        Self { rows: rows.into() }
    }

    pub(crate) fn none() -> Self {
        Self::new(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The keys of those that are rows.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Uuid> + '_ {
        let kept = self.rows.iter().filter(|(_, entry)| entry.row.is_some());
        kept.map(|(key, _)| *key)
    }

    /// The keys of those that were rows once, and are still in the table.
    pub(crate) fn gone(&self) -> impl Iterator<Item = Uuid> + '_ {
        let gone = self.rows.iter();
        gone.filter(|(_, entry)| entry.row.is_none() && entry.stored)
            .map(|(key, _)| *key)
    }

    /// Turns the next `most` rows into what is stored of them, and lets go of them; `None` at the end.
    pub(crate) fn next_writes(&mut self, most: usize) -> Option<Writes> {
        if self.rows.is_empty() {
            return None;
        }
        let (mut fresh, mut changed) = (Changes::default(), Changes::default());
        for (key, entry) in self.rows.drain(..most.min(self.rows.len())) {
            let changes = if entry.stored {
                &mut changed
            } else {
                &mut fresh
            };
            changes.add::<P>(key, &entry);
        }
        Some(Writes {
            fresh: fresh.written,
            changed,
        })
    }
}
