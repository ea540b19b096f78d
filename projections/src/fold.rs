//! The fold of one view in memory: takes pages of events, keeps rows between pages, and says which
//! rows have to be written. No I/O: the projector and the rebuild bring the rows and take the result.

use std::collections::HashMap;
use std::slice;

use eventstore::RecordedEvent;
use uuid::Uuid;

use crate::parking::{ParkedRecord, Parking, Refusal};
use crate::projection::{Facts, Projection};
use crate::table::Value;

mod decode;
mod evicted;

pub(crate) use decode::{Part, Step, decode, read};
pub(crate) use evicted::{Evicted, Writes};

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) key: Uuid,
    pub(crate) seq: i64,
    /// Position of the last event that it has taken.
    pub(crate) position: i64,
    pub(crate) columns: Vec<Value<'static>>,
    pub(crate) doc: String,
}

/// A row as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadedRow {
    pub(crate) key: Uuid,
    pub(crate) seq: i64,
    pub(crate) position: i64,
    pub(crate) doc: String,
}

/// What a page did to the table.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) written: Vec<StoredRow>,
    pub(crate) deleted: Vec<Uuid>,
}

/// A stored row that cannot be read back: the table was written by something else.
#[derive(Debug, thiserror::Error)]
#[error("the stored row of {key} cannot be read")]
pub(crate) struct UnreadableRow {
    pub(crate) key: Uuid,
    #[source]
    pub(crate) source: serde_json::Error,
}

/// A row in memory.
pub(crate) struct Entry<R> {
    row: Option<R>,
    seq: i64,
    position: i64,
    dirty: bool,
    stored: bool,
    settled: bool,
    used: u64,
}

impl<R> Entry<R> {
    /// Of a row that is not there.
    fn new(page: u64) -> Self {
        Self {
            row: None,
            seq: 0,
            position: 0,
            dirty: false,
            stored: false,
            settled: false,
            used: page,
        }
    }
}

/// The rows of one view, or of one part of it, as far as they are in memory.
pub(crate) struct Fold<P: Projection> {
    part: Part,
    /// Boxed: the map has room for up to twice as many as it holds, and what leaves it is moved.
    rows: HashMap<Uuid, Box<Entry<P::Row>>>,
    dirty: Vec<Uuid>,
    parking: Parking,
    settled: usize,
    page: u64,
}

/// A settled row may still get what follows at once, such as the message about a cancellation. Pages.
const PAGES_OF_REST: u64 = 3;

impl<P: Projection> Fold<P> {
    /// Starts with no row in memory.
    pub(crate) fn new(part: Part, parking: Parking) -> Self {
        Self {
            part,
            rows: HashMap::new(),
            dirty: Vec::new(),
            parking,
            settled: 0,
            page: 0,
        }
    }

    /// Picks and decodes the events of this view, in their order.
    pub(crate) fn decode(&mut self, events: &[RecordedEvent]) -> Vec<Step> {
        let decoded = decode::<P>(events, &self.parking);
        self.parking.broken.extend(decoded.broken);
        decoded.steps
    }

    /// The keys whose rows must be loaded before [`Self::apply`].
    pub(crate) fn missing<'a>(&self, steps: impl IntoIterator<Item = &'a Step>) -> Vec<Uuid> {
        let mut keys: Vec<Uuid> = steps
            .into_iter()
            .flat_map(|step| step.keys.as_slice())
            .copied()
            .filter(|key| self.part.has(key))
            .filter(|key| !self.rows.contains_key(key) && !self.parking.keys.contains(key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Takes in rows as the table holds them; keys without a row need no mention.
    pub(crate) fn loaded(
        &mut self,
        rows: impl IntoIterator<Item = LoadedRow>,
    ) -> Result<(), UnreadableRow> {
        for LoadedRow {
            key,
            seq,
            position,
            doc,
        } in rows
        {
            let row = P::from_doc(&doc).map_err(|source| UnreadableRow { key, source })?;
            let entry = Entry {
                row: Some(row),
                seq,
                position,
                stored: true,
                ..Entry::new(self.page)
            };
            self.rows.insert(key, Box::new(entry));
        }
        Ok(())
    }

    /// Takes note that the row of this key is gone, although the table still holds it.
    pub(crate) fn gone(&mut self, key: Uuid) {
        let entry = Entry {
            stored: true,
            ..Entry::new(self.page)
        };
        self.rows.insert(key, Box::new(entry));
    }

    /// Folds a page and returns what could not be taken. A key that cannot take an event is parked
    /// with its row as it was, and takes none of the later ones.
    pub(crate) fn apply(&mut self, events: &[RecordedEvent], steps: &[Step]) -> Vec<ParkedRecord> {
        self.page += 1;
        let mut parked = Vec::new();
        for step in steps {
            let recorded = &events[step.at];
            for (nth, key) in (0..).zip(step.keys.as_slice()) {
                if !self.part.has(key) {
                    continue;
                }
                if let Err(refusal) = self.take(*key, nth, step, recorded) {
                    parked.push(self.park(*key, recorded, refusal));
                }
            }
        }
        parked
    }

    fn park(&mut self, key: Uuid, recorded: &RecordedEvent, refusal: Refusal) -> ParkedRecord {
        self.parking.park(key, refusal.cause);
        ParkedRecord {
            key,
            position: recorded.position.0,
            event_type: recorded.event_type.to_string(),
            schema_version: recorded.schema_version,
            refusal,
        }
    }

    /// Takes the event into the row of its `nth` key. A row takes no event twice: where a rebuild is taken
    /// up again, some rows are further than its checkpoint.
    fn take(
        &mut self,
        key: Uuid,
        nth: i64,
        step: &Step,
        recorded: &RecordedEvent,
    ) -> Result<(), Refusal> {
        let event = step.event.as_ref().map_err(Clone::clone)?;
        let facts = Facts::of(recorded);
        if self.parking.skips(&facts, key) {
            return Ok(());
        }
        if self.parking.keys.contains(&key) {
            return Err(Refusal::follows());
        }
        let position = facts.position.0;
        let page = self.page;
        let entry = self
            .rows
            .entry(key)
            .or_insert_with(|| Box::new(Entry::new(page)));
        if entry.position >= position {
            return Ok(());
        }
        entry.used = page;
        if entry.row.is_none() {
            entry.seq = position * i64::from(P::ROWS_PER_EVENT) + nth;
        }
        P::apply(key, &mut entry.row, event, &facts).map_err(Refusal::refused)?;
        entry.position = position;
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(key);
        }
        let settled = entry.row.as_ref().is_some_and(P::is_settled);
        self.settled += usize::from(settled);
        self.settled -= usize::from(entry.settled);
        entry.settled = settled;
        Ok(())
    }

    /// Sets a key free and takes these events of it, in order, up to the first that cannot be taken, with
    /// which it is parked again. Gives how many were taken. That a stream of theirs was broken later on changes nothing: what came
    /// after the break is parked under the name of the stream.
    pub(crate) fn take_again(
        &mut self,
        key: Uuid,
        events: &[RecordedEvent],
    ) -> (usize, Option<ParkedRecord>) {
        self.parking.free(key);
        let unbroken = Parking {
            skips: self.parking.skips.clone(),
            ..Parking::default()
        };
        for (taken, recorded) in events.iter().enumerate() {
            let decoded = decode::<P>(slice::from_ref(recorded), &unbroken);
            self.parking.broken.extend(decoded.broken);
            let Some(step) = decoded.steps.into_iter().next() else {
                continue;
            };
            if let Err(refusal) = &step.event {
                return (taken, Some(self.park(key, recorded, refusal.clone())));
            }
            let nth = step.keys.as_slice().iter().position(|it| *it == key);
            let Some(nth) = nth.and_then(|nth| i64::try_from(nth).ok()) else {
                continue;
            };
            if let Err(refusal) = self.take(key, nth, &step, recorded) {
                return (taken, Some(self.park(key, recorded, refusal)));
            }
        }
        (events.len(), None)
    }

    /// Whether the row of a key is in memory.
    pub(crate) fn holds(&self, key: Uuid) -> bool {
        self.rows.contains_key(&key)
    }

    /// Whether what comes on this stream cannot be placed.
    pub(crate) fn set_broken(&mut self, stream: Uuid, broken: bool) {
        if broken {
            self.parking.broken.insert(stream);
        } else {
            self.parking.broken.remove(&stream);
        }
    }

    /// Some of the keys that stand still.
    pub(crate) fn parked(&self, limit: usize) -> Vec<Uuid> {
        self.parking.keys.iter().take(limit).copied().collect()
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
            self.count_settled();
        }
    }

    /// Takes out of memory the rows that have settled and rested for some pages.
    pub(crate) fn evict_settled(&mut self) -> Evicted<P> {
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
            None => Evicted::none(),
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
        // Those that have not rested yet stay, and leave with the next ones.
        self.count_settled();
        Evicted::new(rows)
    }

    fn count_settled(&mut self) {
        self.settled = self.rows.values().filter(|entry| entry.settled).count();
    }

    /// How many of the rows in memory have settled.
    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    /// How many rows are in memory.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
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
                position: entry.position,
                columns: P::columns(row).into_iter().map(Value::into_owned).collect(),
                doc: P::to_doc(row).expect("rows are structs of strings, numbers and lists"),
            }),
            None if entry.stored => self.deleted.push(key),
            None => {}
        }
    }
}
