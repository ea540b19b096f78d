//! Between deciders and the log: load, fold, decide, append, and once more if somebody was faster.

use std::borrow::Cow;

use aggregates::codec::{self, DecodeError};
use aggregates::delivery::Delivery;
use aggregates::kakao::Message;
use aggregates::order::Order;
use aggregates::payment::Payment;
use aggregates::projection::Projection;
use aggregates::subject::Subject;
use aggregates::{Decider, Event, IllegalTransition, category_of};
use eventstore::{
    AppendError, Category, Checkpoint, EventStore, Expected, NewEvent, Position, ReadError,
    StreamAppend, StreamId, Version,
};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::lineage;

/// Events read at once. An aggregate has a handful of them; only people's commands could make it more.
const PAGE: usize = 1000;

/// Somebody else can be faster this often before a command is given up; each time means that the other one succeeded.
const TRIES_MAX: usize = 16;

/// An aggregate with streams of its own.
pub trait Aggregate: Decider<Event: Into<Event>, State: Send> + Send {
    /// The category of its streams.
    const CATEGORY: Category;

    /// The event, if it is one of this aggregate's.
    fn pick(event: Event) -> Option<Self::Event>;
}

macro_rules! aggregate {
    ($($aggregate:ident in $category:literal),* $(,)?) => {
        $(impl Aggregate for $aggregate {
            const CATEGORY: Category = Category::from_static($category);

            fn pick(event: Event) -> Option<Self::Event> {
                match event {
                    Event::$aggregate(event) => Some(event),
                    _ => None,
                }
            }
        })*
    };
}

aggregate!(
    Order in "order",
    Payment in "payment",
    Delivery in "delivery",
    Subject in "subject",
    Projection in "projection",
);

impl Aggregate for Message {
    const CATEGORY: Category = Category::from_static("kakao");

    fn pick(event: Event) -> Option<Self::Event> {
        match event {
            Event::Kakao(event) => Some(event),
            _ => None,
        }
    }
}

/// Events that this build cannot make sense of.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Written by a newer build, or damaged.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// In an order that the rules do not allow.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
}

/// Why an aggregate cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be read.
    #[error("the stream cannot be read")]
    Read(#[from] ReadError),
    /// Its events make no sense to this build.
    #[error("the stream's events cannot be read")]
    Fold(#[from] FoldError),
}

/// An aggregate and the version of its stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// What the stream folds into.
    pub value: T,
    /// How many events that took.
    pub version: Version,
    /// The last of them.
    pub checkpoint: Checkpoint,
}

/// Reads and folds a stream.
pub async fn load<A: Aggregate>(
    store: &EventStore,
    id: Uuid,
) -> Result<Versioned<A::State>, LoadError> {
    load_as_of::<A>(store, id, Position(i64::MAX)).await
}

/// Reads a stream and folds what had happened up to a place in the log.
pub async fn load_as_of<A: Aggregate>(
    store: &EventStore,
    id: Uuid,
    last: Position,
) -> Result<Versioned<A::State>, LoadError> {
    let stream = StreamId::new(A::CATEGORY, id);
    let mut loaded = Versioned {
        value: A::State::default(),
        version: Version::ZERO,
        checkpoint: Checkpoint::START,
    };
    loop {
        let page = store.read_stream(&stream, loaded.version, PAGE).await?;
        for event in &page {
            if event.position > last {
                return Ok(loaded);
            }
            let decoded = codec::decode(&event.event_type, event.schema_version, &event.data)
                .map_err(FoldError::from)?;
            if let Some(event) = A::pick(decoded) {
                loaded.value = A::evolve(loaded.value, &event).map_err(FoldError::from)?;
            }
            loaded.version = event.version;
            loaded.checkpoint = event.checkpoint();
        }
        if page.len() < PAGE {
            return Ok(loaded);
        }
    }
}

/// Why a command is not known to have been executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R> {
    /// The aggregate refuses.
    #[error("{0}")]
    Rejected(R),
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its events cannot be stored, or it is not known whether they were.
    #[error("the events cannot be stored")]
    Append(#[from] AppendError),
}

/// Decides a command on the newest state and appends what it leads to. Gives the number of events that this took: none means
/// that everything was on record before.
pub async fn execute<A: Aggregate>(
    store: &EventStore,
    id: Uuid,
    command: &A::Command,
) -> Result<usize, ExecuteError<A::Rejection>> {
    let mut tries = 1;
    loop {
        let Versioned {
            value,
            version,
            checkpoint,
        } = load::<A>(store, id).await?;
        let events = A::decide(&value, command).map_err(ExecuteError::Rejected)?;
        let count = events.len();
        if count == 0 {
            return Ok(0);
        }
        let append = to_stream(A::CATEGORY, id, expecting(version), events, id);
        let last = (version > Version::ZERO).then_some(checkpoint.event_id);
        let append = lineage::caused(append, last);
        match store.append(vec![append]).await {
            Ok(_) => return Ok(count),
            Err(AppendError::Conflict { .. }) if tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// What an append after that version has to expect.
fn expecting(version: Version) -> Expected {
    match version {
        Version::ZERO => Expected::NoStream,
        version => Expected::At(version),
    }
}

/// An append to one stream. `correlation` is the id under which everything that belongs together is found.
pub fn to_stream<E: Into<Event>>(
    category: Category,
    id: Uuid,
    expected: Expected,
    events: impl IntoIterator<Item = E>,
    correlation: Uuid,
) -> StreamAppend {
    let metadata = lineage::metadata(correlation);
    let events = events
        .into_iter()
        .map(|event| new_event(event.into(), &category, &metadata));
    StreamAppend {
        expected,
        events: events.collect(),
        stream: StreamId::new(category, id),
    }
}

fn new_event(event: Event, category: &Category, metadata: &RawValue) -> NewEvent {
    debug_assert_eq!(
        category_of(&event),
        category.as_str(),
        "an event strays from its stream"
    );
    let encoded = codec::encode(&event);
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: Cow::Borrowed(encoded.event_type),
        schema_version: encoded.schema_version,
        data: encoded.data,
        metadata: metadata.to_owned(),
    }
}
