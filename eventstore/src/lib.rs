//! An append-only event log on Postgres or SQLite.

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
pub use scan::Scan;
pub use stats::StoreStats;
pub use store::{EventStore, PAGE_MAX, RELATED_MAX};
pub use stream::{CATEGORY_MAX_BYTES, Category, InvalidName, StreamId};
pub use vault::{MasterKeyFile, Vault, VaultError};
