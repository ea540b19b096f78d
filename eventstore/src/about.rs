//! What a log says of itself and of the database that keeps it, for those who look after it.

use chrono::{DateTime, Utc};

use crate::error::ReadError;
use crate::store::{Backend, EventStore};

/// Which tables there are and whom they allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The last migration applied.
    pub version: i32,
    /// The oldest generation of builds that may use these tables.
    pub oldest_binary: i32,
    /// The generation of this build.
    pub this_binary: i32,
}

/// The database behind a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its product and version.
    pub server: String,
    /// Its clock. That of an embedded log is the one of this machine.
    pub now: DateTime<Utc>,
    /// The log's tables.
    pub schema: Schema,
}

impl EventStore {
    /// Asks the database about itself.
    pub async fn about(&self) -> Result<About, ReadError> {
        match &self.inner.backend {
            Backend::Postgres(backend) => backend.about().await,
            Backend::Sqlite(backend) => backend.about().await,
        }
    }
}
