//! An append-only event log on Postgres or SQLite, with one contract for both.
//!
//! Events are raw records: a type, a schema version, JSON data and JSON metadata. They belong to streams, and all streams together
//! are one log whose positions are 1, 2, 3 and so on without gaps, in the order of commits. A reader that remembers one
//! [`Checkpoint`] can therefore never miss an event.
//!
//! # Guarantees
//!
//! - **Atomic.** [`EventStore::append`] stores events in one or several streams, all or none, each stream under its own
//!   [`Expected`] condition. A stream that is not as expected gives [`AppendError::Conflict`] with what was found.
//! - **Durable.** An append returns when it has been flushed. Servers that acknowledge earlier are refused at [`EventStore::open`].
//! - **Settled.** The caller makes the event ids. When a connection breaks between a commit and its reply, the store finds out by
//!   those ids whether the events are there; [`AppendError::Unknown`] remains for when that takes longer than the deadline, and
//!   [`AppendError::Unavailable`] always means that nothing was stored.
//! - **Append-only.** The database itself refuses to change or delete events.
//! - **Loud.** A log that was replaced by an older copy stops its readers with [`ReadError::CheckpointMismatch`].
//!
//! # How it is fast
//!
//! Appends that wait at the same time are committed as one group: on Postgres by one connection per process and one call of one
//! function, on SQLite by one thread. A conflict fails alone; its neighbours in the group commit. Nothing is announced with NOTIFY:
//! readers are woken within the process by [`EventStore::watch`], and [`EventStore::wait_past`] also looks for itself, so that it
//! notices other processes and misses nothing when a wake-up is lost.
//!
//! # Example
//!
//! ```
//! use eventstore::{AppendError, Category, EventStore, Expected, Location, NewEvent, Options, StreamAppend, StreamId, Version};
//! use serde_json::value::RawValue;
//! use uuid::Uuid;
//!
//! const ORDER: Category = Category::from_static("order");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let location = Location::sqlite(dir.path()); // or Location::postgres("postgres://...")
//! EventStore::migrate(&location).await?;
//! let store = EventStore::open(&location, Options::default()).await?;
//!
//! let stream = StreamId::new(ORDER, Uuid::now_v7());
//! let ordered = NewEvent {
//!     event_id: Uuid::now_v7(),
//!     event_type: "Ordered".into(),
//!     schema_version: 1,
//!     data: RawValue::from_string(r#"{"bookId":"b-1","qty":2}"#.to_owned())?,
//!     metadata: RawValue::from_string("{}".to_owned())?,
//! };
//! let append = StreamAppend { stream: stream.clone(), expected: Expected::NoStream, events: vec![ordered] };
//!
//! let appended = store.append(vec![append.clone()]).await?;
//! assert_eq!(appended.versions, [Version(1)]);
//!
//! // The stream exists now, so the same append is a conflict.
//! let again = store.append(vec![append]).await;
//! assert!(matches!(again, Err(AppendError::Conflict { actual: Version(1), .. })));
//!
//! let events = store.read_stream(&stream, Version::ZERO, 100).await?;
//! assert_eq!(&*events[0].event_type, "Ordered");
//! # Ok(())
//! # }
//! ```
//!
//! # Moving a log
//!
//! [`archive`] writes a whole log into a file and fills an empty log from one, on the same or on the other backend, with the same
//! positions, versions and ids.
//!
//! # Personal data
//!
//! The log cannot forget, so what must be forgotten does not go into it in clear: a [`Vault`] seals texts under a key per data
//! subject, and erasing a subject is deleting that key.

mod about;
pub mod archive;
mod batch;
mod checkpoint;
mod error;
mod event;
mod hint;
mod invalid;
mod keys;
mod lease;
mod names;
mod options;
mod position;
mod postgres;
mod request;
mod scan;
mod schema;
mod sqlite;
mod stats;
mod store;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod vault;

pub use about::{About, Schema};
pub use error::{AppendError, OpenError, ReadError};
pub use event::{Appended, Expected, LogPage, NewEvent, RecordedEvent, StreamAppend};
pub use invalid::{
    APPEND_MAX_BYTES, DATA_MAX_BYTES, EVENTS_MAX, InvalidEvent, JSON_MAX_DEPTH, JSON_MAX_DIGITS,
    JSON_MAX_EXPONENT, METADATA_MAX_BYTES, STREAMS_MAX, TYPE_MAX_BYTES,
};
pub use keys::{SUBJECT_MAX_BYTES, SubjectKey, SubjectKeys};
pub use lease::Lease;
pub use options::{Access, Location, MigrationReport, Options};
pub use position::{Checkpoint, InvalidCheckpoint, Position, Version};
pub use postgres::{is_readable_on_the_way, postgres_config};
pub use scan::Scan;
pub use stats::{StoreStats, WriterState};
pub use store::{EventStore, PAGE_MAX, RELATED_MAX};
pub use stream::{CATEGORY_MAX_BYTES, Category, InvalidName, StreamId};
pub use vault::{MasterKeyFile, Sealer, Vault, VaultError};
