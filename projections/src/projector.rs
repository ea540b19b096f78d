//! One projector of one table: reads a page of the log, folds it and stores rows and checkpoint together.

use eventstore::{Checkpoint, ReadError, RecordedEvent};

use crate::error::RunError;
use crate::fold::{Fold, ParkedRecord, UnreadableRow};
use crate::projection::Projection;
use crate::store::{Committed, Generation, PageCommit, Store};
use crate::tail::Tail;

/// Rows kept in memory between pages: the orders that are moving now. A row is one to two kilobytes.
const ROWS_KEPT: usize = 10_000;

/// What came of looking at the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paged {
    /// It was stored; `full`: there is more.
    Applied { full: bool },
    /// There is nothing new.
    CaughtUp,
    /// Another projector was faster, or the table was replaced: start again from what is stored.
    Fenced,
}

/// Folds the log into one table. Whatever error it gives, it must be dropped then: its memory may be
/// ahead of the table.
pub(crate) struct Projector<P: Projection> {
    generation: i64,
    checkpoint: Checkpoint,
    fold: Fold<P>,
}

impl<P: Projection> Projector<P> {
    /// Goes on from what is stored.
    pub(crate) async fn resume(store: &Store, generation: &Generation) -> Result<Self, RunError> {
        let parked = store.parked_keys(P::TABLE, generation.number).await?;
        Ok(Self {
            generation: generation.number,
            checkpoint: generation.checkpoint,
            fold: Fold::new(parked),
        })
    }

    /// Where the table is.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// Which table.
    pub(crate) fn generation(&self) -> i64 {
        self.generation
    }

    /// Takes the next page of the log.
    pub(crate) async fn page(&mut self, store: &Store, log: &Tail) -> Result<Paged, RunError> {
        let page = log.after(&self.checkpoint).await?;
        let Some(last) = page.events().last() else {
            return Ok(Paged::CaughtUp);
        };
        let (to, recorded_at) = (last.checkpoint(), last.recorded_at);
        let parked = self.fold_page(store, page.events()).await?;
        let commit = PageCommit {
            generation: self.generation,
            from: self.checkpoint,
            to,
            recorded_at,
            changes: self.fold.changes(),
            parked,
        };
        match store.commit(P::TABLE, commit).await? {
            Committed::Fenced => Ok(Paged::Fenced),
            Committed::Yes => {
                self.fold.committed(ROWS_KEPT);
                self.checkpoint = to;
                Ok(Paged::Applied { full: page.more })
            }
        }
    }

    async fn fold_page(
        &mut self,
        store: &Store,
        events: &[RecordedEvent],
    ) -> Result<Vec<ParkedRecord>, RunError> {
        let steps = self.fold.decode(events);
        let missing = self.fold.missing(&steps);
        let rows = store.load(P::TABLE, self.generation, missing).await?;
        self.fold.loaded(rows)?;
        Ok(self.fold.apply(steps))
    }
}

impl From<UnreadableRow> for RunError {
    fn from(UnreadableRow { key, source }: UnreadableRow) -> Self {
        Self::Row { key, source }
    }
}

impl RunError {
    /// Whether trying again can help. Where it cannot, the projection stands still until somebody has
    /// rebuilt the view or repaired the log.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Log(error) => matches!(error, ReadError::CheckpointMismatch { .. }),
            Self::Row { .. } => true,
            Self::Store(_) | Self::Version { .. } => false,
        }
    }
}
