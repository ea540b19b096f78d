//! Which sagas are due: the question the sweeper asks. A view of the log answers it at once; where there is none, the log is folded.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use eventstore::{EventStore, Position, ReadError};
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::view::{LeftAlone, LoadError, SAGA, Snapshot};

/// Positions examined in one go while the log is folded.
const PAGE: usize = 1_000;

/// A saga somebody has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// Since when.
    pub at: DateTime<Utc>,
    /// Which.
    pub id: Uuid,
}

/// The index could not answer; the sweeper asks again later.
#[derive(Debug, thiserror::Error)]
#[error("listing due sagas")]
pub struct IndexError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Knows which sagas are due. May be behind: a saga that is not due any more is looked at in vain, one that is missing is listed
/// later.
pub trait SagaIndex: Send + Sync + 'static {
    /// Sagas due before that time, oldest first.
    fn due<'a>(
        &'a self,
        before: DateTime<Utc>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Due>, IndexError>>;

    /// How many are due before that time.
    fn count<'a>(&'a self, before: DateTime<Utc>) -> BoxFuture<'a, Result<usize, IndexError>>;
}

/// Folds the log from a position on. Holds a few dozen bytes for every saga that is not at rest.
pub struct LogIndex {
    store: EventStore,
    folded: Mutex<Folded>,
}

struct Folded {
    position: Position,
    due: BTreeSet<Due>,
    by_id: HashMap<Uuid, Due>,
}

impl Folded {
    fn set(&mut self, id: Uuid, at: Option<DateTime<Utc>>) {
        if let Some(before) = self.by_id.remove(&id) {
            self.due.remove(&before);
        }
        if let Some(at) = at {
            self.by_id.insert(id, Due { at, id });
            self.due.insert(Due { at, id });
        }
    }

    fn due_by(&self, before: DateTime<Utc>) -> impl Iterator<Item = &Due> {
        self.due.iter().take_while(move |due| due.at <= before)
    }
}

impl LogIndex {
    /// Knows all sagas that have an event after that position.
    pub fn new(store: EventStore, after: Position) -> Self {
        let folded = Folded {
            position: after,
            due: BTreeSet::new(),
            by_id: HashMap::new(),
        };
        Self {
            store,
            folded: Mutex::new(folded),
        }
    }

    async fn caught_up(&self) -> Result<MutexGuard<'_, Folded>, IndexError> {
        let mut folded = self.folded.lock().await;
        self.catch_up(&mut folded)
            .await
            .map_err(|error| IndexError(Box::new(error)))?;
        Ok(folded)
    }

    async fn catch_up(&self, folded: &mut Folded) -> Result<(), ReadError> {
        let head = self.store.head().await?;
        while folded.position < head {
            let page = self
                .store
                .read_all(folded.position, PAGE, Some(&SAGA))
                .await?;
            let told = page.events.iter();
            let touched: BTreeMap<Uuid, DateTime<Utc>> = told
                .map(|event| (event.stream.id, event.recorded_at))
                .collect();
            for (id, last_at) in touched {
                match Snapshot::load(&self.store, id).await {
                    Ok((view, _)) => folded.set(id, view.state.due_at()),
                    // Nobody can look after it, and it is to stay on the list that says so.
                    Err(LoadError::LeftAlone(LeftAlone::Unreadable(_))) => {
                        folded.set(id, Some(last_at));
                    }
                    // Not for this build: a newer node looks after it.
                    Err(LoadError::LeftAlone(_)) => folded.set(id, None),
                    Err(LoadError::Read(error)) => return Err(error),
                }
            }
            folded.position = page.next;
        }
        Ok(())
    }
}

impl SagaIndex for LogIndex {
    fn due<'a>(
        &'a self,
        before: DateTime<Utc>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Due>, IndexError>> {
        Box::pin(async move {
            let folded = self.caught_up().await?;
            Ok(folded.due_by(before).take(limit).copied().collect())
        })
    }

    fn count<'a>(&'a self, before: DateTime<Utc>) -> BoxFuture<'a, Result<usize, IndexError>> {
        Box::pin(async move { Ok(self.caught_up().await?.due_by(before).count()) })
    }
}
