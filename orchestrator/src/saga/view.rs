//! A saga in memory: what the log said when it was last read, plus what this process appended since.

use std::sync::Arc;

use aggregates::saga::{IllegalTransition, SagaEvent, State, decode};
use eventstore::{
    Appended, Category, EventStore, Position, ReadError, RecordedEvent, StreamAppend, StreamId,
    Version,
};
use uuid::Uuid;

use super::history::History;
use crate::lineage::Lineage;

/// The category of saga streams.
pub static SAGA: Category = Category::from_static("saga");

/// The JSON of saga events has had one shape so far.
pub(super) const SCHEMA_VERSION: i16 = 1;

/// Why a saga is not for this build, or for none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeftAlone {
    /// There is no such saga.
    #[error("no saga has this id")]
    NotFound,
    /// Probably written by a newer build.
    #[error("this build does not know event {event_type} version {version}")]
    UnknownEvent {
        /// Its type.
        event_type: String,
        /// Its schema version.
        version: i16,
    },
    /// The JSON of an event is not what its type says.
    #[error("event {event_type} at {version} cannot be read: {why}")]
    Malformed {
        /// Its type.
        event_type: String,
        /// Its place in the stream.
        version: Version,
        /// What is wrong.
        why: String,
    },
    /// The log contradicts itself.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// Probably started by a newer build.
    #[error("this build does not run saga {saga} version {version}")]
    UnknownSaga {
        /// Name of the definition.
        saga: String,
        /// Version of the definition.
        version: u32,
    },
    /// The log is there and does not give the saga's events, now or later. No build can go on with it.
    #[error("the log does not give its events: {0}")]
    Unreadable(ReadError),
}

/// Why a saga could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is not for this build.
    #[error(transparent)]
    LeftAlone(#[from] LeftAlone),
    /// The log could not be read.
    #[error("reading the saga's events")]
    Read(#[from] ReadError),
}

/// A saga as far as it is known here. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The saga.
    pub id: Uuid,
    /// Its own events, folded.
    pub state: Arc<State>,
    /// The domain events of the same uuid.
    pub history: Arc<History>,
    /// Version of the saga's stream.
    pub version: Version,
    /// The last position any of this was read from or written to.
    pub position: Position,
    /// Of the saga's own events.
    pub lineage: Lineage,
}

impl Snapshot {
    /// A saga that has not started.
    pub(super) fn empty(id: Uuid) -> Self {
        Self {
            id,
            state: Arc::default(),
            history: Arc::default(),
            version: Version::ZERO,
            position: Position::ZERO,
            lineage: Lineage::default(),
        }
    }

    /// What the log says now, with the ids of the saga's own events.
    pub(crate) async fn load(store: &EventStore, id: Uuid) -> Result<(Self, Vec<Uuid>), LoadError> {
        let events = store.read_related(id).await.map_err(unread)?;
        let ids = events.iter().filter(|event| event.stream.category == SAGA);
        let ids = ids.map(|event| event.event_id).collect();
        Ok((Self::fold(id, events)?, ids))
    }

    /// Folds all events of one uuid, in the order of the log.
    pub fn fold(id: Uuid, events: Vec<RecordedEvent>) -> Result<Self, LeftAlone> {
        let mut state = State::default();
        let mut history = History::default();
        let mut snapshot = Self::empty(id);
        for event in events {
            snapshot.position = event.position;
            if event.stream.category != SAGA {
                history.push(event);
                continue;
            }
            snapshot.version = event.version;
            snapshot.lineage.follow(event.event_id, &event.metadata);
            state = state.evolve(&read(&event)?)?;
        }
        if snapshot.version == Version::ZERO {
            return Err(LeftAlone::NotFound);
        }
        snapshot.state = Arc::new(state);
        snapshot.history = Arc::new(history);
        Ok(snapshot)
    }

    /// Takes over what was just appended, without reading it.
    pub(super) fn absorb(
        &mut self,
        state: Arc<State>,
        streams: Vec<StreamAppend>,
        appended: &Appended,
    ) {
        self.state = state;
        self.position = appended.last;
        let mut position = appended.first.0;
        for (stream, last) in streams.into_iter().zip(&appended.versions) {
            let count = i64::try_from(stream.events.len()).unwrap_or(i64::MAX);
            if stream.stream == self.stream() {
                self.version = *last;
                for event in &stream.events {
                    self.lineage.follow(event.event_id, &event.metadata);
                }
            } else if stream.stream.id == self.id {
                let history = Arc::make_mut(&mut self.history);
                let first = Position(position);
                for event in recorded(stream, first, *last, appended) {
                    history.push(event);
                }
            }
            position += count;
        }
    }

    /// The saga's own stream.
    pub fn stream(&self) -> StreamId {
        StreamId::new(SAGA.clone(), self.id)
    }
}

/// A log that is away is waited for; one that is there and does not give this saga is no reason to keep others waiting.
fn unread(error: ReadError) -> LoadError {
    if error.is_lasting() {
        LeftAlone::Unreadable(error).into()
    } else {
        error.into()
    }
}

/// Reads one event of a saga's stream.
pub fn read(event: &RecordedEvent) -> Result<SagaEvent, LeftAlone> {
    let known = (event.schema_version == SCHEMA_VERSION)
        .then(|| decode(&event.event_type, &event.data))
        .flatten();
    match known {
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => Err(LeftAlone::Malformed {
            event_type: event.event_type.to_string(),
            version: event.version,
            why: error.to_string(),
        }),
        None => Err(LeftAlone::UnknownEvent {
            event_type: event.event_type.to_string(),
            version: event.schema_version,
        }),
    }
}

fn recorded(
    stream: StreamAppend,
    first: Position,
    last: Version,
    appended: &Appended,
) -> impl Iterator<Item = RecordedEvent> {
    let count = i64::try_from(stream.events.len()).unwrap_or(i64::MAX);
    let recorded_at = appended.recorded_at;
    let id = stream.stream;
    (0_i64..)
        .zip(stream.events)
        .map(move |(nth, event)| RecordedEvent {
            position: Position(first.0 + nth),
            stream: id.clone(),
            version: Version(last.0 - count + 1 + nth),
            event_id: event.event_id,
            event_type: event.event_type.into(),
            schema_version: event.schema_version,
            data: event.data,
            metadata: event.metadata,
            recorded_at,
        })
}
