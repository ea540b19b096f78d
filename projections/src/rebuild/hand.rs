//! One of the workers of a rebuild: the rows of its part in memory, and those on their way to the table.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

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
use crate::site::Site;
use crate::store::Store;
use crate::table::TableDef;

/// One in this many of the rows that fit into memory makes a batch: rows that have settled leave for the
/// table by the batch. Enough to make a bulk write worth it, few enough that the writes go along with
/// the reading.
const BATCHES: usize = 15;

/// Rows written at once: their text is in memory beside them meanwhile.
const WRITE_ROWS: usize = 5_000;

/// The same for a rebuild that stands back. In between it pauses for as long as they took, so that it has
/// the disk and the one writer of an embedded store for half of the time at most.
const GENTLE_ROWS: usize = 500;

/// Workers that write at once. Each takes a connection, which queries want, too.
const WRITES_AT_ONCE: usize = 2;

/// A page of the log that several workers read.
pub(super) type Page = Arc<Vec<RecordedEvent>>;

/// What the workers share: the table, and the threads to work on.
pub(super) struct Works {
    pub(super) store: Arc<Store>,
    pub(super) def: &'static TableDef,
    pub(super) generation: i64,
    pub(super) crew: Crew,
    /// Number of the thread that turns rows into text.
    scribe: usize,
    gentle: bool,
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
            turns: Semaphore::new(WRITES_AT_ONCE),
            keyed: OnceCell::new(),
        })
    }

    /// Makes the index by which rows are found again, once.
    pub(super) async fn index_key(&self) -> Result<(), StoreError> {
        let make = || self.store.index_key(self.def, self.generation);
        self.keyed.get_or_try_init(make).await.copied()
    }

    /// Writes rows. A deletion waits for the next checkpoint: until then the row may have to be found.
    async fn write<P: Projection>(&self, mut rows: Evicted<P>) -> Result<(), RunError> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| RunError::HandGone)?;
        let most = match self.gentle {
            true => GENTLE_ROWS,
            false => WRITE_ROWS,
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
            if self.gentle {
                sleep(began.elapsed()).await;
            }
        }
    }
}

/// The rows of a part, and what is known of those that are not in memory.
struct Rows<P: Projection> {
    fold: Fold<P>,
    most: usize,
    seen: Seen,
    /// Deleted, and still in the table.
    gone: HashSet<Uuid>,
    parked: Vec<ParkedRecord>,
}

impl<P: Projection> Rows<P> {
    /// The keys whose rows the table may have.
    fn missing(&mut self, shares: &[Vec<Step>]) -> Vec<Uuid> {
        let mut missing = self.fold.missing(shares.iter().flatten());
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
    fn take(&mut self, pages: &[Page], shares: Vec<Vec<Step>>) -> Evicted<P> {
        for (page, steps) in pages.iter().zip(shares) {
            self.parked.extend(self.fold.apply(page, steps));
        }
        if self.fold.len() > self.most {
            // What stays are the orders that are still moving at this point of the log.
            self.release(self.most - self.most / 4)
        } else if self.fold.settled() > self.most / BATCHES {
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
    /// The worker of a part, with so many rows in memory at most.
    pub(super) fn new(nth: usize, part: Part, parking: Parking, seen: Seen, most: usize) -> Self {
        Self {
            nth,
            rows: Some(Rows {
                fold: Fold::new(part, parking),
                most,
                seen,
                gone: HashSet::new(),
                parked: Vec::new(),
            }),
            writing: None,
        }
    }

    /// Folds its shares of some pages, in the order of the pages.
    pub(super) async fn fold(
        &mut self,
        works: &Arc<Works>,
        pages: Vec<Page>,
        shares: Vec<Vec<Step>>,
    ) -> Result<(), RunError> {
        let mut rows = self.rows.take().ok_or(RunError::HandGone)?;
        let at_once = move || {
            let missing = rows.missing(&shares);
            if missing.is_empty() {
                let evicted = rows.take(&pages, shares);
                (rows, Ok(evicted))
            } else {
                (rows, Err((missing, pages, shares)))
            }
        };
        let (rows, evicted) = match works.crew.run(self.nth, at_once).await? {
            (rows, Ok(evicted)) => (rows, evicted),
            (rows, Err((missing, pages, shares))) => {
                // What is missing may be on its way.
                self.written().await?;
                let found = works.store.load(works.def, works.generation, missing);
                self.fold_with(works, rows, found.await?, pages, shares)
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
        shares: Vec<Vec<Step>>,
    ) -> Result<(Rows<P>, Evicted<P>), RunError> {
        let take = move || {
            rows.fold.loaded(found)?;
            let evicted = rows.take(&pages, shares);
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
