//! Tells the sweeper which sagas are due: the saga view knows at once; where it is behind, the log is folded.

use chrono::{DateTime, Utc};
use eventstore::{EventStore, Position};
use futures_util::future::{BoxFuture, FutureExt};
use projections::{Page, Projections, saga::SagaRow};
use tokio::sync::Mutex;

use crate::saga::index::{Due, IndexError, LogIndex, SagaIndex};

/// The saga view as an index.
pub(crate) struct SagaViewIndex {
    projections: Projections,
    store: EventStore,
    tail: Mutex<Tail>,
}

/// What the view is not trusted to know.
#[derive(Default)]
struct Tail {
    /// The log's end when it was asked last; by now a view that runs has come there.
    head_before: Position,
    /// Folds what follows a view that stands still.
    index: Option<LogIndex>,
}

impl SagaViewIndex {
    /// An index over these.
    #[must_use]
    pub(crate) fn new(projections: Projections, store: EventStore) -> SagaViewIndex {
        SagaViewIndex {
            projections,
            store,
            tail: Mutex::default(),
        }
    }

    async fn list(&self, before: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, IndexError> {
        let page = self.projections.due_sagas(before, limit).await;
        let (rows, position) = match page {
            Ok(Page { rows, position, .. }) => (rows, position),
            Err(error) => {
                tracing::warn!(%error, "the saga view cannot be asked; folding the log");
                (Vec::new(), Position::ZERO)
            }
        };
        let mut due: Vec<Due> = rows.iter().filter_map(due_row).collect();
        due.extend(self.beyond(position, before, limit).await?);
        due.sort_unstable();
        due.dedup_by_key(|due| due.id);
        due.truncate(limit);
        Ok(due)
    }

    /// What is due beyond the place where the view stands still. A saga that the view also lists may appear twice.
    async fn beyond(
        &self,
        position: Position,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Due>, IndexError> {
        let mut tail = self.tail.lock().await;
        let head = self
            .store
            .head()
            .await
            .map_err(|error| IndexError(Box::new(error)))?;
        let head_before = std::mem::replace(&mut tail.head_before, head);
        if position >= head_before {
            tail.index = None;
            return Ok(Vec::new());
        }
        let index = tail
            .index
            .get_or_insert_with(|| LogIndex::new(self.store.clone(), position));
        index.due(before, limit).await
    }
}

impl SagaIndex for SagaViewIndex {
    fn due<'a>(
        &'a self,
        before: DateTime<Utc>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Due>, IndexError>> {
        self.list(before, limit).boxed()
    }
}

fn due_row(row: &SagaRow) -> Option<Due> {
    Some(Due {
        at: row.due_at?,
        id: row.saga_id,
    })
}
