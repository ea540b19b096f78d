//! Tells the sweeper which sagas are due: the saga view knows at once; where it is behind, the log is folded.

use chrono::{DateTime, Utc};
use eventstore::{EventStore, Position};
use futures_util::future::{BoxFuture, FutureExt};
use projections::{Page, Projections, saga::SagaRow};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

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
        let (rows, position) = match self.projections.due_sagas(before, limit).await {
            Ok(Page { rows, position, .. }) => (rows, position),
            Err(error) => {
                tracing::warn!(%error, "the saga view cannot be asked; folding the log");
                (Vec::new(), Position::ZERO)
            }
        };
        let mut due: Vec<Due> = rows.iter().filter_map(due_row).collect();
        if let Some(beyond) = &*self.beyond(position).await? {
            due.extend(beyond.due(before, limit).await?);
        }
        due.sort_unstable();
        due.dedup_by_key(|due| due.id);
        due.truncate(limit);
        Ok(due)
    }

    /// Where the view stands still, a saga that it lists and that has moved since may count twice.
    async fn number(&self, before: DateTime<Utc>) -> Result<usize, IndexError> {
        // Where the view cannot be asked, the fold of the log begins at its first event.
        let listed = self.projections.count_due_sagas(before).await.unwrap_or(0);
        let beyond = match &self.tail.lock().await.index {
            Some(index) => index.count(before).await?,
            None => 0,
        };
        Ok(usize::try_from(listed).unwrap_or(usize::MAX) + beyond)
    }

    /// Knows what follows the place where the view stands still; `None` where it does not.
    async fn beyond(
        &self,
        position: Position,
    ) -> Result<MappedMutexGuard<'_, Option<LogIndex>>, IndexError> {
        let mut tail = self.tail.lock().await;
        let head = self
            .store
            .head()
            .await
            .map_err(|error| IndexError(Box::new(error)))?;
        let head_before = std::mem::replace(&mut tail.head_before, head);
        if position >= head_before {
            tail.index = None;
        } else if tail.index.is_none() {
            tail.index = Some(LogIndex::new(self.store.clone(), position));
        }
        Ok(MutexGuard::map(tail, |tail| &mut tail.index))
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

    fn count<'a>(&'a self, before: DateTime<Utc>) -> BoxFuture<'a, Result<usize, IndexError>> {
        self.number(before).boxed()
    }
}

fn due_row(row: &SagaRow) -> Option<Due> {
    Some(Due {
        at: row.due_at?,
        id: row.saga_id,
    })
}

#[cfg(test)]
mod tests;
