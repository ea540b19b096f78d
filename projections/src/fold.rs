//! The fold of one view in memory: takes pages of events, keeps rows between pages, and says which
//! rows have to be written. No I/O: the projector and the rebuild bring the rows and take the result.

use std::collections::{HashMap, HashSet};

use aggregates::{Event, codec};
use eventstore::RecordedEvent;
use uuid::Uuid;

use crate::projection::{Facts, Projection};
use crate::table::Value;

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) key: Uuid,
    pub(crate) seq: i64,
    pub(crate) columns: Vec<Value<'static>>,
    pub(crate) doc: String,
}

/// What a page did to the table.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) written: Vec<StoredRow>,
    pub(crate) deleted: Vec<Uuid>,
}

/// An event that its view could not take; with it stops its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParkedRecord {
    pub(crate) key: Uuid,
    pub(crate) position: i64,
    pub(crate) event_type: String,
    pub(crate) reason: String,
}

/// A stored row that cannot be read back: the table was written by something else.
#[derive(Debug, thiserror::Error)]
#[error("the stored row of {key} cannot be read")]
pub(crate) struct UnreadableRow {
    pub(crate) key: Uuid,
    #[source]
    pub(crate) source: serde_json::Error,
}

/// An event of this view, decoded, with the row it goes to.
pub(crate) struct Step<'a> {
    key: Uuid,
    facts: Facts<'a>,
    event: Result<Event, String>,
}

/// A row in memory.
pub(crate) struct Entry<R> {
    row: Option<R>,
    seq: i64,
    dirty: bool,
    stored: bool,
    settled: bool,
    used: u64,
}

/// The rows of one view, as far as they are in memory.
pub(crate) struct Fold<P: Projection> {
    rows: HashMap<Uuid, Entry<P::Row>>,
    dirty: Vec<Uuid>,
    parked: HashSet<Uuid>,
    settled: usize,
    page: u64,
}

/// Rows that left the memory of a rebuild.
pub(crate) struct Evicted<P: Projection> {
    rows: Vec<(Uuid, Entry<P::Row>)>,
}

/// A settled row may still get what follows at once, such as the message about a cancellation. Pages.
const PAGES_OF_REST: u64 = 3;

/// The reason kept with an event that only follows a parked one.
pub(crate) const FOLLOWS: &str = "follows a parked event of the same key";

impl<P: Projection> Fold<P> {
    /// Starts with no row in memory; `parked` are the keys that stand still already.
    pub(crate) fn new(parked: HashSet<Uuid>) -> Self {
        Self {
            rows: HashMap::new(),
            dirty: Vec::new(),
            parked,
            settled: 0,
            page: 0,
        }
    }

    /// Picks and decodes the events of this view.
    pub(crate) fn decode<'a>(&self, events: &'a [RecordedEvent]) -> Vec<Step<'a>> {
        events
            .iter()
            .filter(|event| P::CATEGORIES.contains(&event.stream.category.as_str()))
            .filter_map(|event| self.step(event))
            .collect()
    }

    /// An undecodable event has no key that anybody knows, so its stream's id stands in, and with it
    /// the rest of that stream is parked.
    fn step<'a>(&self, recorded: &'a RecordedEvent) -> Option<Step<'a>> {
        let facts = Facts::of(recorded);
        let decoded = codec::decode(
            &recorded.event_type,
            recorded.schema_version,
            &recorded.data,
        );
        let (key, event) = match decoded {
            Ok(event) if self.parked.contains(&facts.stream) => (facts.stream, Ok(event)),
            Ok(event) => (P::key(&event, &facts)?, Ok(event)),
            Err(error) => (facts.stream, Err(error.to_string())),
        };
        Some(Step { key, facts, event })
    }

    /// The keys whose rows must be loaded before [`Self::apply`].
    pub(crate) fn missing(&self, steps: &[Step<'_>]) -> Vec<Uuid> {
        let mut keys: Vec<Uuid> = steps
            .iter()
            .map(|step| step.key)
            .filter(|key| !self.rows.contains_key(key) && !self.parked.contains(key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Takes in rows as the table holds them; keys without a row need no mention.
    pub(crate) fn loaded(
        &mut self,
        rows: impl IntoIterator<Item = (Uuid, i64, String)>,
    ) -> Result<(), UnreadableRow> {
        for (key, seq, doc) in rows {
            let row = P::from_doc(&doc).map_err(|source| UnreadableRow { key, source })?;
            let entry = Entry {
                row: Some(row),
                seq,
                dirty: false,
                stored: true,
                settled: false,
                used: self.page,
            };
            self.rows.insert(key, entry);
        }
        Ok(())
    }

    /// Folds a page and returns what could not be taken. A key that cannot take an event is parked
    /// with its row as it was, and takes none of the later ones.
    pub(crate) fn apply(&mut self, steps: Vec<Step<'_>>) -> Vec<ParkedRecord> {
        self.page += 1;
        let mut parked = Vec::new();
        for step in steps {
            if let Err(reason) = self.take(&step) {
                self.parked.insert(step.key);
                parked.push(ParkedRecord {
                    key: step.key,
                    position: step.facts.position.0,
                    event_type: step.facts.event_type.to_owned(),
                    reason,
                });
            }
        }
        parked
    }

    fn take(&mut self, step: &Step<'_>) -> Result<(), String> {
        if self.parked.contains(&step.key) || self.parked.contains(&step.facts.stream) {
            return Err(String::from(FOLLOWS));
        }
        let event = step.event.as_ref().map_err(Clone::clone)?;
        let entry = self.rows.entry(step.key).or_insert_with(|| Entry {
            row: None,
            seq: 0,
            dirty: false,
            stored: false,
            settled: false,
            used: 0,
        });
        entry.used = self.page;
        if entry.row.is_none() {
            entry.seq = step.facts.position.0;
        }
        P::apply(&mut entry.row, event, &step.facts).map_err(|error| error.to_string())?;
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(step.key);
        }
        let settled = entry.row.as_ref().is_some_and(P::is_settled);
        self.settled += usize::from(settled && !entry.settled);
        entry.settled = settled;
        Ok(())
    }

    /// What has to be written since the last [`Self::committed`].
    pub(crate) fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for key in &self.dirty {
            if let Some(entry) = self.rows.get(key) {
                changes.add::<P>(*key, entry);
            }
        }
        changes
    }

    /// The changes are written: the table and the memory agree. When there are more than `keep` rows
    /// in memory, those that the last page did not use are forgotten.
    pub(crate) fn committed(&mut self, keep: usize) {
        for key in self.dirty.drain(..) {
            if let Some(entry) = self.rows.get_mut(&key) {
                entry.stored = entry.row.is_some();
                entry.dirty = false;
            }
        }
        if self.rows.len() > keep {
            let page = self.page;
            self.rows.retain(|_, entry| entry.used == page);
        }
    }

    /// Takes out of memory the rows that have settled and rested for some pages.
    pub(crate) fn evict_settled(&mut self) -> Evicted<P> {
        self.settled = 0;
        let rested = self.page.saturating_sub(PAGES_OF_REST);
        self.evict_if(|entry| entry.settled && entry.used <= rested)
    }

    /// Takes rows out of memory, least recently used first, until about `keep` are left.
    pub(crate) fn evict(&mut self, keep: usize) -> Evicted<P> {
        let excess = self.rows.len().saturating_sub(keep);
        let mut used: Vec<u64> = self.rows.values().map(|entry| entry.used).collect();
        match excess.checked_sub(1) {
            Some(last) => {
                let cut = *used.select_nth_unstable(last).1;
                self.evict_if(|entry| entry.used <= cut)
            }
            None => Evicted { rows: Vec::new() },
        }
    }

    fn evict_if(&mut self, out: impl Fn(&Entry<P::Row>) -> bool) -> Evicted<P> {
        let mut rows: Vec<_> = self
            .rows
            .extract_if(|_, entry| out(entry))
            .filter(|(_, entry)| entry.dirty)
            .collect();
        rows.sort_unstable_by_key(|(_, entry)| entry.seq);
        self.dirty.retain(|key| self.rows.contains_key(key));
        Evicted { rows }
    }

    /// How many rows have settled since the last [`Self::evict_settled`].
    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    /// How many rows are in memory.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl<P: Projection> Evicted<P> {
    /// Their keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.rows.iter().map(|(key, _)| *key)
    }

    /// The rows that the table does not have yet, in the order of `seq`, and the changes to others.
    pub(crate) fn into_writes(self) -> (Vec<StoredRow>, Changes) {
        let mut fresh = Changes::default();
        let mut changed = Changes::default();
        for (key, entry) in &self.rows {
            let changes = if entry.stored {
                &mut changed
            } else {
                &mut fresh
            };
            changes.add::<P>(*key, entry);
        }
        (fresh.written, changed)
    }
}

impl Changes {
    /// Nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.deleted.is_empty()
    }

    fn add<P: Projection>(&mut self, key: Uuid, entry: &Entry<P::Row>) {
        match &entry.row {
            Some(row) => self.written.push(StoredRow {
                key,
                seq: entry.seq,
                columns: P::columns(row).into_iter().map(Value::into_owned).collect(),
                doc: P::to_doc(row).expect("rows are structs of strings, numbers and lists"),
            }),
            None if entry.stored => self.deleted.push(key),
            None => {}
        }
    }
}
