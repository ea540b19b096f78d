//! Folds a view anew from the first event on, beside the live table, and cuts over at the end.
//!
//! The log is read in bulk and folded in memory; rows that have not moved for long leave it in bulk
//! writes, while the next pages are folded already. Then come the indexes, what was appended meanwhile,
//! and the one moment in which the live projector waits and the pointer moves.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventstore::{Checkpoint, Position, ReadError, RecordedEvent};
use serde::Serialize;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::error::{RebuildError, RunError, StoreError};
use crate::fold::{Evicted, Fold, ParkedRecord};
use crate::projection::Projection;
use crate::projections::{Inner, View};
use crate::projector::{Paged, Projector};
use crate::store::{Committed, Generation, PageCommit, RebuildClaim, Store};

/// One in this many of the rows that fit into memory makes a batch: rows that have settled leave for the
/// table by the batch. Enough to make a bulk write worth it, few enough that the writes go along with
/// the reading.
const BATCHES: usize = 15;

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RebuildProgress {
    /// Events examined.
    pub position: Position,
    /// Events to examine, as far as is known.
    pub total: Position,
}

/// What a rebuild did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// Events examined.
    pub events: i64,
    /// The new table's place in the log when it went live.
    pub position: Position,
    /// Number of the new table.
    pub generation: i64,
    /// Events that could not be taken.
    pub parked_events: u64,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// Rebuilds one view.
pub(crate) async fn rebuild<P: Projection>(
    inner: &Inner,
    view: View,
    mut progress: impl FnMut(RebuildProgress) + Send,
) -> Result<RebuildReport, RebuildError> {
    let started = Instant::now();
    let Some(claim) = inner.store.claim_rebuild(P::TABLE).await? else {
        return Err(RebuildError::Running {
            view: view.as_str(),
        });
    };
    let _shown = Shown(inner, view);
    let mut report = |position: Position, total: Position| {
        let now = RebuildProgress { position, total };
        *inner.live(view).rebuild() = Some(now);
        progress(now);
    };
    inner.store.live(P::TABLE).await?;
    inner.store.drop_retired(P::TABLE).await?;
    let generation = inner.store.create_building(P::TABLE).await?;
    let mut build = Build::<P>::new(inner, generation);
    build.scan(inner, &mut report).await?;
    let parked_events = build.parked.len() as u64;
    let generation = build.finish().await?;
    let projector = cut_over::<P>(inner, generation, claim, &mut report).await?;
    let position = projector.checkpoint().position;
    inner.live(view).set(position);
    Ok(RebuildReport {
        events: position.0,
        position,
        generation: projector.generation(),
        parked_events,
        took: started.elapsed(),
    })
}

/// Takes the progress off the status, also when the rebuild's future is dropped.
struct Shown<'a>(&'a Inner, View);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        *self.0.live(self.1).rebuild() = None;
    }
}

/// The fold of the bulk read, and the table it goes to.
struct Build<P: Projection> {
    store: Arc<Store>,
    generation: Generation,
    most: usize,
    fold: Fold<P>,
    parked: Vec<ParkedRecord>,
    spilled: HashSet<Uuid>,
    keyed: bool,
    writing: Option<Writing>,
    last: Option<(Checkpoint, chrono::DateTime<chrono::Utc>)>,
}

/// Rows on their way to the table; given up together with the rebuild.
struct Writing(JoinHandle<Result<(), StoreError>>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<P: Projection> Build<P> {
    fn new(inner: &Inner, generation: Generation) -> Self {
        Self {
            store: Arc::clone(&inner.store),
            generation,
            most: inner.options.rows_in_memory,
            fold: Fold::new(HashSet::new()),
            parked: Vec::new(),
            spilled: HashSet::new(),
            keyed: false,
            writing: None,
            last: None,
        }
    }

    async fn scan(
        &mut self,
        inner: &Inner,
        report: &mut impl FnMut(Position, Position),
    ) -> Result<(), RunError> {
        let total = inner.log.head().await?;
        report(Position::ZERO, total);
        let mut scan = inner.log.scan(Checkpoint::START, total);
        while let Some(page) = scan.next().await {
            let page = page?;
            let Some(last) = page.last() else { continue };
            self.take(&page).await?;
            self.last = Some((last.checkpoint(), last.recorded_at));
            report(last.position, total);
        }
        Ok(())
    }

    async fn take(&mut self, page: &[RecordedEvent]) -> Result<(), RunError> {
        let steps = self.fold.decode(page);
        let mut missing = self.fold.missing(&steps);
        missing.retain(|key| self.spilled.contains(key));
        if !missing.is_empty() {
            self.written().await?;
            let number = self.generation.number;
            let rows = self.store.load(P::TABLE, number, missing).await?;
            self.fold.loaded(rows)?;
        }
        self.parked.extend(self.fold.apply(steps));
        if self.fold.len() > self.most {
            // What stays are the orders that are still moving at this point of the log.
            let evicted = self.fold.evict(self.most - self.most / 4);
            self.spill(evicted).await?;
        } else if self.fold.settled() > self.most / BATCHES {
            let evicted = self.fold.evict_settled();
            self.spill(evicted).await?;
        }
        Ok(())
    }

    /// Hands rows over to be written while the fold goes on.
    async fn spill(&mut self, evicted: Evicted<P>) -> Result<(), RunError> {
        self.written().await?;
        // From now on rows may have to be found again.
        self.index_key().await?;
        self.spilled.extend(evicted.keys());
        self.write(evicted);
        Ok(())
    }

    async fn index_key(&mut self) -> Result<(), StoreError> {
        if !mem::replace(&mut self.keyed, true) {
            let number = self.generation.number;
            self.store.index_key(P::TABLE, number).await?;
        }
        Ok(())
    }

    fn write(&mut self, evicted: Evicted<P>) {
        let store = Arc::clone(&self.store);
        let number = self.generation.number;
        self.writing = Some(Writing(tokio::spawn(async move {
            let (fresh, changed) = evicted.into_writes();
            store.bulk(P::TABLE, number, fresh).await?;
            store.rewrite(P::TABLE, number, changed).await
        })));
    }

    /// Waits for the rows that were handed over.
    async fn written(&mut self) -> Result<(), StoreError> {
        match self.writing.take() {
            Some(mut writing) => (&mut writing.0).await.map_err(|_| StoreError::WriterGone)?,
            None => Ok(()),
        }
    }

    /// Writes what is left, the indexes and the checkpoint.
    async fn finish(mut self) -> Result<Generation, RunError> {
        self.written().await?;
        let rest = self.fold.evict(0);
        let number = self.generation.number;
        self.write(rest);
        self.written().await?;
        self.index_key().await?;
        self.store.index_lists(P::TABLE, number).await?;
        let Some((to, recorded_at)) = self.last else {
            return Ok(self.generation);
        };
        let commit = PageCommit {
            generation: number,
            from: self.generation.checkpoint,
            to,
            recorded_at,
            changes: self.fold.changes(),
            parked: mem::take(&mut self.parked),
        };
        match self.store.commit(P::TABLE, commit).await? {
            Committed::Yes => {}
            Committed::Fenced => {
                return Err(StoreError::Replaced {
                    view: P::TABLE.view,
                }
                .into());
            }
        }
        self.generation.checkpoint = to;
        Ok(self.generation)
    }
}

/// Catches up with the log, holds the live projector, catches up with it and moves the pointer, so that
/// no reader ever sees less than before.
async fn cut_over<P: Projection>(
    inner: &Inner,
    generation: Generation,
    mut claim: RebuildClaim,
    report: &mut impl FnMut(Position, Position),
) -> Result<Projector<P>, RunError> {
    let mut projector = Projector::<P>::resume(&inner.store, &generation).await?;
    while let Paged::Applied { full: true } = projector.page(&inner.store, &inner.tail).await? {
        let position = projector.checkpoint().position;
        report(position, inner.log.head().await?.max(position));
    }
    let live = claim.hold_live(P::TABLE).await?;
    let reached = match live {
        Some(live) if belongs(inner, &live).await? => live.checkpoint.position,
        // The live table was folded from another log: there is nothing to catch up with.
        _ => Position::ZERO,
    };
    while projector.checkpoint().position < reached {
        match projector.page(&inner.store, &inner.tail).await? {
            Paged::Applied { .. } => {}
            Paged::CaughtUp | Paged::Fenced => {
                return Err(StoreError::Replaced {
                    view: P::TABLE.view,
                }
                .into());
            }
        }
    }
    claim.cut_over(P::TABLE, projector.generation()).await?;
    let position = projector.checkpoint().position;
    report(position, position);
    Ok(projector)
}

async fn belongs(inner: &Inner, live: &Generation) -> Result<bool, RunError> {
    match inner.log.read_page(&live.checkpoint, 1).await {
        Ok(_) => Ok(true),
        Err(ReadError::CheckpointMismatch { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
