//! One of the workers of a rebuild: the rows of its part in memory, and those on their way to the table.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use eventstore::RecordedEvent;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::crew::Crew;
use super::seen::Seen;
use crate::error::{RunError, StoreError};
use crate::fold::{Changes, Evicted, Fold, LoadedRow, Part, Step, Writes};
use crate::parking::{ParkedRecord, Parking};
use crate::projection::Projection;
use crate::pulse::Pulse;
use crate::site::Site;
use crate::store::Store;
use crate::table::TableDef;

/// One in this many of the rows that fit into memory makes a batch: rows that have settled leave for the
/// table by the batch. Enough to make a bulk write worth it, few enough that the writes go along with
/// the reading.
const BATCHES: usize = 15;

/// Rows written at once: their text is in memory beside them meanwhile. A transaction more costs little,
/// because it waits for no disk.
const WRITE_ROWS: usize = 1_000;

/// The same for a rebuild that stands back.
const GENTLE_ROWS: usize = 500;

/// The same in the embedded store, where it has the one writer for that time. Few, because a commit takes its
/// core and the disk until it is done: ten times as many doubled what appends wait for.
const GENTLE_ROWS_EMBEDDED: usize = 50;

/// For how many times as long as a write took such a rebuild pauses after it, so that it has the disk for a
/// quarter of the time at most.
const GENTLE_PAUSES: u32 = 3;

/// The shortest pause in the embedded store, some thousand rows a second. Every few writes are followed by a flush of the disk, for which
/// the log's flushes wait too: all of them together may take less than a hundredth of the time.
const GENTLE_PAUSE_EMBEDDED: Duration = Duration::from_millis(40);

/// The longest pause: a disk that takes seconds for a write is no reason to be taken for one that stands still.
const GENTLE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Workers that write at once. Each takes a connection, which queries want, too.
const WRITES_AT_ONCE: usize = 2;

/// A page of the log that several workers read.
pub(super) type Page = Arc<Vec<RecordedEvent>>;

/// A page as it was decoded, for all workers: each takes the rows of its part.
pub(super) type Steps = Arc<Vec<Step>>;

/// What the workers share: the table, and the threads to work on.
pub(super) struct Works {
    pub(super) store: Arc<Store>,
    pub(super) def: &'static TableDef,
    pub(super) generation: i64,
    pub(super) crew: Crew,
    /// Number of the thread that turns rows into text.
    scribe: usize,
    gentle: bool,
    pub(super) pulse: Arc<Pulse>,
    turns: Semaphore,
    keyed: OnceCell<()>,
}

impl Works {
    /// For so many workers.
    pub(super) fn new(site: &Site, generation: i64, workers: usize) -> Result<Self, RunError> {
        let gentle = site.options.gentle;
        Ok(Self {
            store: Arc::clone(&site.store),
            def: site.def,
            generation,
            crew: Crew::start(workers + 1, gentle)?,
            scribe: workers,
            gentle,
            pulse: Arc::clone(site.live.rebuild_pulse()),
            turns: Semaphore::new(WRITES_AT_ONCE),
            keyed: OnceCell::new(),
        })
    }

    /// Makes the index by which rows are found again, once.
    pub(super) async fn index_key(&self) -> Result<(), StoreError> {
        let _held = self.pulse.hold();
        let make = || self.store.index_key(self.def, self.generation);
        self.keyed.get_or_try_init(make).await.copied()
    }

    /// Writes rows. A deletion waits for the next checkpoint: until then the row may have to be found.
    async fn write<P: Projection>(&self, mut rows: Evicted<P>) -> Result<(), RunError> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| RunError::HandGone)?;
        let (most, pause) = match (self.gentle, &*self.store) {
            (false, _) => (WRITE_ROWS, Duration::ZERO),
            (true, Store::Postgres(_)) => (GENTLE_ROWS, Duration::ZERO),
            (true, Store::Sqlite(_)) => (GENTLE_ROWS_EMBEDDED, GENTLE_PAUSE_EMBEDDED),
        };
        loop {
            let next = move || {
                let writes = rows.next_writes(most);
                (rows, writes)
            };
            let (rest, writes) = self.crew.run(self.scribe, next).await?;
            let Some(Writes { fresh, changed }) = writes else {
                return Ok(());
            };
            rows = rest;
            let began = Instant::now();
            self.store.bulk(self.def, self.generation, fresh).await?;
            let changed = Changes {
                written: changed.written,
                deleted: Vec::new(),
            };
            if !changed.is_empty() {
                self.index_key().await?;
            }
            self.store
                .rewrite(self.def, self.generation, changed)
                .await?;
            self.pulse.beat();
            if self.gentle {
                let longer = (began.elapsed() * GENTLE_PAUSES).min(GENTLE_PAUSE_MAX);
                sleep(longer.max(pause)).await;
                self.pulse.beat();
            }
        }
    }
}

/// How many rows a worker has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    most: usize,
    /// Settled ones that leave together.
    batch: usize,
}

impl Room {
    /// That of one of so many workers, who have so many rows together.
    pub(super) fn of(rows: usize, workers: usize) -> Self {
        let most = (rows / workers).max(1);
        Self {
            most,
            // As many as one worker alone would write at once; but they leave before the room is full.
            batch: (rows / BATCHES).min(most / 2),
        }
    }
}

/// The rows of a part, and what is known of those that are not in memory.
struct Rows<P: Projection> {
    fold: Fold<P>,
    room: Room,
    seen: Seen,
    /// Deleted, and still in the table.
    gone: HashSet<Uuid>,
    parked: Vec<ParkedRecord>,
}

impl<P: Projection> Rows<P> {
    /// The keys whose rows the table may have.
    fn missing(&mut self, steps: &[Steps]) -> Vec<Uuid> {
        let all = steps.iter().flat_map(|steps| steps.iter());
        let mut missing = self.fold.missing(all);
        missing.retain(|key| {
            let gone = self.gone.contains(key);
            if gone {
                self.fold.gone(*key);
            }
            !gone && self.seen.may_hold(*key)
        });
        missing
    }

    /// Folds the pages and gives the rows that have to leave.
    fn take(&mut self, pages: &[Page], steps: &[Steps]) -> Evicted<P> {
        for (page, steps) in pages.iter().zip(steps) {
            self.parked.extend(self.fold.apply(page, steps));
        }
        let Room { most, batch } = self.room;
        if self.fold.len() > most {
            // What stays are the orders that are still moving at this point of the log.
            self.release(most - most / 4)
        } else if self.fold.settled() > batch {
            let evicted = self.fold.evict_settled();
            self.note(evicted)
        } else {
            Evicted::none()
        }
    }

    /// Lets go of rows until about `keep` are left.
    fn release(&mut self, keep: usize) -> Evicted<P> {
        let evicted = self.fold.evict(keep);
        self.note(evicted)
    }

    fn note(&mut self, evicted: Evicted<P>) -> Evicted<P> {
        for key in evicted.kept() {
            self.seen.tell(key);
            self.gone.remove(&key);
        }
        self.gone.extend(evicted.gone());
        evicted
    }
}

/// What a worker has left over at a checkpoint.
pub(super) struct Left {
    pub(super) parked: Vec<ParkedRecord>,
    pub(super) deleted: Vec<Uuid>,
}

/// A worker.
pub(super) struct Hand<P: Projection> {
    nth: usize,
    /// Away only while its thread has them.
    rows: Option<Rows<P>>,
    writing: Option<Writing>,
}

/// Rows on their way to the table; given up together with the rebuild.
struct Writing(JoinHandle<Result<(), RunError>>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<P: Projection> Hand<P> {
    /// The worker of a part.
    pub(super) fn new(nth: usize, part: Part, parking: Parking, seen: Seen, room: Room) -> Self {
        Self {
            nth,
            rows: Some(Rows {
                fold: Fold::new(part, parking),
                room,
                seen,
                gone: HashSet::new(),
                parked: Vec::new(),
            }),
            writing: None,
        }
    }

    /// Folds what is its own of some pages, in the order of the pages.
    pub(super) async fn fold(
        &mut self,
        works: &Arc<Works>,
        pages: Vec<Page>,
        steps: Vec<Steps>,
    ) -> Result<(), RunError> {
        let mut rows = self.rows.take().ok_or(RunError::HandGone)?;
        let at_once = move || {
            let missing = rows.missing(&steps);
            if missing.is_empty() {
                let evicted = rows.take(&pages, &steps);
                (rows, Ok(evicted))
            } else {
                (rows, Err((missing, pages, steps)))
            }
        };
        let (rows, evicted) = match works.crew.run(self.nth, at_once).await? {
            (rows, Ok(evicted)) => (rows, evicted),
            (rows, Err((missing, pages, steps))) => {
                // What is missing may be on its way.
                self.written().await?;
                let found = works.store.load(works.def, works.generation, missing);
                self.fold_with(works, rows, found.await?, pages, steps)
                    .await?
            }
        };
        self.rows = Some(rows);
        self.spill(works, evicted).await
    }

    async fn fold_with(
        &self,
        works: &Works,
        mut rows: Rows<P>,
        found: Vec<LoadedRow>,
        pages: Vec<Page>,
        steps: Vec<Steps>,
    ) -> Result<(Rows<P>, Evicted<P>), RunError> {
        let take = move || {
            rows.fold.loaded(found)?;
            let evicted = rows.take(&pages, &steps);
            Ok((rows, evicted))
        };
        works.crew.run(self.nth, take).await?
    }

    /// Hands rows over to be written while the fold goes on.
    async fn spill(&mut self, works: &Arc<Works>, evicted: Evicted<P>) -> Result<(), RunError> {
        if evicted.is_empty() {
            return Ok(());
        }
        self.written().await?;
        // From now on rows may have to be found again.
        works.index_key().await?;
        self.write(works, evicted);
        Ok(())
    }

    fn write(&mut self, works: &Arc<Works>, rows: Evicted<P>) {
        let works = Arc::clone(works);
        let write = async move { works.write(rows).await };
        self.writing = Some(Writing(tokio::spawn(write)));
    }

    /// Waits for the rows that were handed over.
    async fn written(&mut self) -> Result<(), RunError> {
        match self.writing.take() {
            Some(mut writing) => (&mut writing.0).await.map_err(|_| RunError::HandGone)?,
            None => Ok(()),
        }
    }

    /// Events parked since the last checkpoint.
    pub(super) fn parked(&self) -> usize {
        self.rows.as_ref().map_or(0, |rows| rows.parked.len())
    }

    /// Writes everything that is in memory.
    pub(super) async fn flush(&mut self, works: &Arc<Works>) -> Result<Left, RunError> {
        let mut rows = self.rows.take().ok_or(RunError::HandGone)?;
        let release = move || {
            let evicted = rows.release(0);
            let left = Left {
                parked: mem::take(&mut rows.parked),
                deleted: rows.gone.drain().collect(),
            };
            (rows, evicted, left)
        };
        let (rows, evicted, left) = works.crew.run(self.nth, release).await?;
        self.rows = Some(rows);
        self.written().await?;
        self.write(works, evicted);
        self.written().await?;
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_as_large_for_many_workers_as_for_one_as_long_as_there_is_room() {
        let room = |workers| {
            let Room { most, batch } = Room::of(60_000, workers);
            (most, batch)
        };
        assert_eq!(room(1), (60_000, 4_000));
        assert_eq!(room(4), (15_000, 4_000));
        assert_eq!(room(16), (3_750, 1_875));
        assert_eq!(Room::of(1, 16), Room { most: 1, batch: 0 });
    }
}
