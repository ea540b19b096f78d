//! Where a log lives and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Where the log lives.
#[derive(Debug, Clone)]
pub enum Location {
    /// A Postgres database. `sslmode=require` in the URL turns on TLS with certificate checks.
    Postgres {
        /// Connection URL.
        url: SecretString,
    },
    /// A directory holding `events.db`.
    Sqlite {
        /// The directory; made if missing.
        dir: PathBuf,
    },
}

impl Location {
    /// A Postgres database by URL.
    pub fn postgres(url: impl Into<String>) -> Self {
        Location::Postgres {
            url: SecretString::from(url.into()),
        }
    }

    /// An embedded log in a directory.
    pub fn sqlite(dir: impl Into<PathBuf>) -> Self {
        Location::Sqlite { dir: dir.into() }
    }
}

/// What the opener intends to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and append. Holds the lock of an embedded directory.
    Write,
    /// Read beside a writer, as tools do. Appends fail.
    ReadOnly,
}

/// How to open a log. `Options::default()` suits a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Read and append, or only read.
    pub access: Access,
    /// After this long an append is answered, if need be with [`AppendError::Unknown`](crate::AppendError::Unknown).
    pub append_deadline: Duration,
    /// Most reads under way at once.
    pub read_connections: usize,
    /// Upper limit for the embedded database in pages of 4 KiB; the way to bound its disk use.
    pub max_page_count: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            access: Access::Write,
            append_deadline: Duration::from_secs(10),
            // Reads are short index look-ups: eight keep a small server busy without crowding out the appender.
            read_connections: 8,
            max_page_count: None,
        }
    }
}

/// What a migration run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// Names of the migrations applied by this run, in order.
    pub applied: Vec<String>,
    /// The schema after the run.
    pub version: i32,
}
