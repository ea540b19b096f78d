//! The handle on a log.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::checkpoint;
use crate::error::{AppendError, OpenError, ReadError};
use crate::event::{Appended, LogPage, RecordedEvent, StreamAppend};
use crate::hint::Hint;
use crate::invalid;
use crate::keys::SubjectKeys;
use crate::lease::Lease;
use crate::options::{Location, MigrationReport, Options};
use crate::position::{Checkpoint, Position, Version};
use crate::postgres::{self, Postgres};
use crate::request::Pending;
use crate::scan::Scan;
use crate::sqlite::{self, Job, Sqlite};
use crate::stats::{Counters, StoreStats, WriterState};
use crate::stream::{Category, StreamId};

/// Most events that [`EventStore::read_related`] gives: what belongs to one thing must fit into memory to be folded.
pub const RELATED_MAX: usize = 10_000;
/// Most events in one page, and most positions that one page examines.
pub const PAGE_MAX: usize = 10_000;
/// Positions looked at in one question for a moment: some hundredths of a second.
const MOMENT_STRETCH: i64 = 100_000;

/// A log: append, read, follow. Cheap to clone; the connections close when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct EventStore {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    location: Location,
    pub(crate) backend: Backend,
    hint: Arc<Hint>,
    counters: Arc<Counters>,
    append_deadline: Duration,
}

#[derive(Debug)]
pub(crate) enum Backend {
    Postgres(Box<Postgres>),
    Sqlite(Sqlite),
}

impl EventStore {
    /// Opens a log that has been migrated. Refuses settings that could lose acknowledged events, a schema that is not meant for
    /// this build, and a directory that another process writes.
    ///
    /// The task that appends to Postgres lives on the Tokio runtime that this is called on.
    pub async fn open(location: &Location, options: Options) -> Result<EventStore, OpenError> {
        let counters = Arc::new(Counters::default());
        let (backend, hint) = match location {
            Location::Sqlite { dir } => {
                let (backend, hint) = Sqlite::open(dir, &options, &counters).await?;
                (Backend::Sqlite(backend), hint)
            }
            Location::Postgres { url } => {
                let (backend, hint) = Postgres::open(url, &options, &counters).await?;
                (Backend::Postgres(Box::new(backend)), hint)
            }
        };
        let inner = Inner {
            location: location.clone(),
            backend,
            hint,
            counters,
            append_deadline: options.append_deadline,
        };
        Ok(EventStore {
            inner: Arc::new(inner),
        })
    }

    /// Brings the tables to the schema of this build. Any number of processes may do so at once.
    pub async fn migrate(location: &Location) -> Result<MigrationReport, OpenError> {
        match location {
            Location::Sqlite { dir } => sqlite::migrate(dir).await,
            Location::Postgres { url } => postgres::migrate(url).await,
        }
    }

    /// Stores events in one or several streams, all or none. Returns when they are durable.
    ///
    /// Dropping the future does not stop the append: it is stored, or not, as if the caller had waited.
    pub async fn append(&self, streams: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        let bytes = invalid::check(&streams)?;
        let deadline = Instant::now() + self.inner.append_deadline;
        let (pending, ticket) = Pending::new(streams, bytes);
        match &self.inner.backend {
            Backend::Postgres(backend) => submit(backend.appender(), pending, deadline).await?,
            Backend::Sqlite(backend) => {
                submit(backend.writer(), Job::Append(pending), deadline).await?
            }
        }
        ticket.outcome(deadline).await
    }

    /// The events of one stream after a version, in order.
    pub async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.stream(stream, after, clamp(limit)).await,
            Backend::Sqlite(backend) => backend.stream(stream, after, clamp(limit)).await,
        }
    }

    /// The events of all streams that share `id`, in the order of positions.
    pub async fn read_related(&self, id: Uuid) -> Result<Vec<RecordedEvent>, ReadError> {
        let one_more = clamp(RELATED_MAX) + 1;
        let events = match &self.inner.backend {
            Backend::Postgres(backend) => backend.related(id, one_more).await?,
            Backend::Sqlite(backend) => backend.related(id, one_more).await?,
        };
        if events.len() > RELATED_MAX {
            return Err(ReadError::TooManyRelated {
                id,
                limit: RELATED_MAX,
            });
        }
        Ok(events)
    }

    /// The events after a checkpoint, once the log has been found to still hold the checkpoint's event.
    pub async fn read_page(
        &self,
        after: &Checkpoint,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let one_more = clamp(limit) + i64::from(after.position.0 > 0);
        let mut page = match &self.inner.backend {
            Backend::Postgres(backend) => backend.from(after.position, one_more).await?,
            Backend::Sqlite(backend) => backend.from(after.position, one_more).await?,
        };
        checkpoint::verify(after, &mut page)?;
        Ok(page)
    }

    /// The events after a position, of one category if given. Examines at most [`PAGE_MAX`] positions; `next` says how far it came,
    /// also when nothing matched.
    pub async fn read_all(
        &self,
        after: Position,
        limit: usize,
        category: Option<&Category>,
    ) -> Result<LogPage, ReadError> {
        let head = self.head().await?;
        let to = Position(after.0.saturating_add(clamp(PAGE_MAX)).min(head.0));
        if to <= after {
            return Ok(LogPage {
                events: Vec::new(),
                next: after,
            });
        }
        let limit = clamp(limit);
        let events = match &self.inner.backend {
            Backend::Postgres(backend) => {
                backend.range(after, to, limit, category.cloned()).await?
            }
            Backend::Sqlite(backend) => backend.range(after, to, limit, category.cloned()).await?,
        };
        let cut = i64::try_from(events.len()).is_ok_and(|count| count >= limit);
        let next = if cut {
            events.last().map_or(after, |event| event.position)
        } else {
            to
        };
        Ok(LogPage { events, next })
    }

    /// The position of the last event.
    pub async fn head(&self) -> Result<Position, ReadError> {
        let head = match &self.inner.backend {
            Backend::Postgres(backend) => backend.head().await?,
            Backend::Sqlite(backend) => backend.head().await?,
        };
        self.inner.hint.advance(head);
        Ok(head)
    }

    /// The last position that was recorded at or before a moment; zero if there is none. Clocks may step back, so it is looked for
    /// from the head on: the further back the moment, the longer it takes, up to a fraction of reading the log.
    pub async fn last_recorded_by(&self, moment: DateTime<Utc>) -> Result<Position, ReadError> {
        let mut to = self.head().await?;
        while to > Position::ZERO {
            let after = Position((to.0 - MOMENT_STRETCH).max(0));
            let found = match &self.inner.backend {
                Backend::Postgres(backend) => backend.last_recorded_by(moment, after, to).await?,
                Backend::Sqlite(backend) => backend.last_recorded_by(moment, after, to).await?,
            };
            if let Some(position) = found {
                return Ok(position);
            }
            to = after;
        }
        Ok(Position::ZERO)
    }

    /// A label of this log, renewed when its contents are replaced on purpose.
    pub async fn epoch(&self) -> Result<Uuid, ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.epoch().await,
            Backend::Sqlite(backend) => backend.epoch().await,
        }
    }

    /// Gives the log a new label and tells it: for a copy that is to be told apart from what it was made of. Nothing else changes:
    /// readers go by the events at their checkpoints.
    pub async fn renew_epoch(&self) -> Result<Uuid, ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.renew_epoch().await,
            Backend::Sqlite(backend) => backend.renew_epoch().await,
        }
    }

    /// A channel that holds the highest position known to this process. Appends of this process show at once; those of other
    /// processes when anybody looks, as [`EventStore::wait_past`] does.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.inner.hint.subscribe()
    }

    /// Waits until the log reaches beyond `position`, or until `timeout`. Gives the highest position known.
    pub async fn wait_past(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<Position, ReadError> {
        let deadline = Instant::now() + timeout;
        let mut seen = self.watch();
        loop {
            let head = *seen.borrow_and_update();
            if head > position || Instant::now() >= deadline {
                return Ok(head);
            }
            if self.inner.hint.wait(&mut seen, deadline).await {
                self.head().await?;
            }
        }
    }

    /// Reads everything after a checkpoint up to a position, on a thread of its own, for replays.
    pub fn scan(&self, after: Checkpoint, to: Position) -> Scan {
        self.scan_ahead(after, to, 1)
    }

    /// The same with so many connections that read stretches of the log in turn, where one is not enough for those who work on
    /// what is read. An embedded log is read by one.
    pub fn scan_ahead(&self, after: Checkpoint, to: Position, connections: usize) -> Scan {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.scan(after, to, connections),
            Backend::Sqlite(backend) => backend.scan(after, to),
        }
    }

    /// Takes or renews a lease by the log's clock. `None`: somebody else holds it.
    pub async fn try_lease(
        &self,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Option<Lease>, ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.try_lease(name, owner, ttl).await,
            Backend::Sqlite(backend) => backend.try_lease(name, owner, ttl).await,
        }
    }

    /// Gives a lease back before its time.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.release_lease(lease).await,
            Backend::Sqlite(backend) => backend.release_lease(lease).await,
        }
    }

    /// Remembers how far the holder of a lease has come in carrying the log somewhere else, under the lease's name. `false`: the
    /// lease has passed to somebody else, and nothing was written.
    pub async fn set_bookmark(&self, lease: &Lease, at: Checkpoint) -> Result<bool, ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.set_bookmark(lease, at).await,
            Backend::Sqlite(backend) => backend.set_bookmark(lease, at).await,
        }
    }

    /// What the holders of a lease remembered last.
    pub async fn bookmark(&self, name: &str) -> Result<Option<Checkpoint>, ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.bookmark(name).await,
            Backend::Sqlite(backend) => backend.bookmark(name).await,
        }
    }

    /// The keys per data subject.
    pub fn subject_keys(&self) -> SubjectKeys {
        SubjectKeys {
            store: Arc::clone(&self.inner),
        }
    }

    /// Where this log lives.
    pub fn location(&self) -> &Location {
        &self.inner.location
    }

    /// `postgres` or `sqlite`.
    pub fn backend_name(&self) -> &'static str {
        match &self.inner.backend {
            Backend::Postgres(_) => "postgres",
            Backend::Sqlite(_) => "sqlite",
        }
    }

    /// How the part does through which everything is written. One that has ended does not come back, while reads go on.
    pub fn writer_state(&self) -> WriterState {
        let ended = match &self.inner.backend {
            Backend::Postgres(backend) => backend.appender().map(mpsc::Sender::is_closed),
            Backend::Sqlite(backend) => backend.writer().map(mpsc::Sender::is_closed),
        };
        match ended {
            None => WriterState::None,
            Some(true) => WriterState::Ended,
            Some(false) => self.inner.counters.writer_state(),
        }
    }

    /// What this handle has done since it was opened.
    pub fn stats(&self) -> StoreStats {
        self.inner.counters.snapshot()
    }
}

async fn submit<T>(
    queue: Option<&mpsc::Sender<T>>,
    work: T,
    deadline: Instant,
) -> Result<(), AppendError> {
    let unavailable = |reason: &str| Err(AppendError::Unavailable(reason.to_owned()));
    let Some(queue) = queue else {
        return unavailable("opened for reading only");
    };
    match timeout_at(deadline, queue.send(work)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => unavailable("the appender has stopped"),
        Err(_) => unavailable("too many appends are waiting"),
    }
}

fn clamp(limit: usize) -> i64 {
    limit.min(PAGE_MAX) as i64
}
