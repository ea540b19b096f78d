//! Throw-away logs for tests, on both backends.
//!
//! Postgres databases are made on the server that `TEST_POSTGRES_URL` names (a superuser URL) and dropped with their handle.

use std::future::Future;
use std::path::Path;

use postgres::{Client, NoTls};
use tempfile::TempDir;
use uuid::Uuid;

use crate::options::{Location, Options};
use crate::sqlite::Job;
use crate::store::{Backend, EventStore};

/// Names the server on which tests make their databases.
pub const SERVER_VARIABLE: &str = "TEST_POSTGRES_URL";

/// A Postgres database of its own, empty, dropped with this handle.
#[derive(Debug)]
pub struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    /// Makes a database.
    ///
    /// # Panics
    /// If `TEST_POSTGRES_URL` is not set or its server does not answer: a test that was meant to run must not pass unrun.
    pub fn create() -> Self {
        let server = std::env::var(SERVER_VARIABLE).unwrap_or_else(|_| {
            panic!("{SERVER_VARIABLE} is not set: run scripts/test.sh, which starts a server")
        });
        let database = TestDatabase {
            server,
            name: format!("test_{}", Uuid::new_v4().simple()),
        };
        database
            .admin(format!("CREATE DATABASE {}", database.name))
            .expect("cannot make a test database");
        database
    }

    /// The URL of the database.
    pub fn url(&self) -> String {
        let (base, parameters) = match self.server.split_once('?') {
            Some((base, parameters)) => (base, format!("?{parameters}")),
            None => (self.server.as_str(), String::new()),
        };
        let authority = base.find("://").map_or(0, |at| at + 3);
        let end = base[authority..]
            .find('/')
            .map_or(base.len(), |at| authority + at);
        format!("{}/{}{parameters}", &base[..end], self.name)
    }

    /// The database as the location of a log.
    pub fn location(&self) -> Location {
        Location::postgres(self.url())
    }

    /// Runs statements in the database, as its superuser. An error is told in words.
    pub fn try_execute(&self, sql: &str) -> Result<(), String> {
        run(self.url(), sql.to_owned()).map_err(|e| {
            e.as_db_error()
                .map_or_else(|| e.to_string(), ToString::to_string)
        })
    }

    fn admin(&self, sql: String) -> Result<(), postgres::Error> {
        run(self.server.clone(), sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A server that a test has stopped has nothing to clean up.
        drop(self.admin(format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            self.name
        )));
    }
}

/// The blocking client must not run on an async thread, and tests are async.
fn run(url: String, sql: String) -> Result<(), postgres::Error> {
    let work = move || Client::connect(&url, NoTls)?.batch_execute(&sql);
    std::thread::spawn(work)
        .join()
        .expect("a thread of a test panicked")
}

/// Where a test's log lives; gone when dropped.
#[derive(Debug)]
pub enum TestLog {
    /// A database of its own.
    Postgres(TestDatabase),
    /// A directory of its own.
    Sqlite(TempDir),
}

impl TestLog {
    /// A log on Postgres.
    pub fn postgres() -> Self {
        TestLog::Postgres(TestDatabase::create())
    }

    /// A log in a temporary directory.
    ///
    /// # Panics
    /// If there can be no temporary directory.
    pub fn sqlite() -> Self {
        TestLog::Sqlite(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Where it lives.
    pub fn location(&self) -> Location {
        match self {
            TestLog::Postgres(database) => database.location(),
            TestLog::Sqlite(dir) => Location::sqlite(dir.path()),
        }
    }

    /// The directory of an embedded log.
    pub fn dir(&self) -> Option<&Path> {
        match self {
            TestLog::Postgres(_) => None,
            TestLog::Sqlite(dir) => Some(dir.path()),
        }
    }

    /// Migrates and opens it.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn open(&self) -> EventStore {
        self.open_with(Options::default()).await
    }

    /// Migrates and opens it with options.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn open_with(&self, options: Options) -> EventStore {
        let location = self.location();
        EventStore::migrate(&location)
            .await
            .expect("a test log cannot be migrated");
        EventStore::open(&location, options)
            .await
            .expect("a test log cannot be opened")
    }
}

/// Runs a check on a fresh log of each backend.
pub async fn each_backend<F, Fut>(check: F)
where
    F: Fn(TestLog) -> Fut,
    Fut: Future<Output = ()>,
{
    check(TestLog::sqlite()).await;
    check(TestLog::postgres()).await;
}

/// Limits the size of an open embedded log, to play a full disk and, with a higher limit, one that has room again.
///
/// # Panics
/// On another backend.
pub async fn limit_pages(store: &EventStore, pages: u32) {
    match &store.inner.backend {
        Backend::Sqlite(backend) => backend.limit_pages(pages).await.expect("the limit is set"),
        Backend::Postgres(_) => panic!("only an embedded log can be limited"),
    }
}

/// Ends the part of an open log that writes, as a defect in it would: a planted panic on SQLite, the end of its task on
/// Postgres.
///
/// # Panics
/// If the log was opened for reading only.
pub async fn end_writer(store: &EventStore) {
    match &store.inner.backend {
        Backend::Postgres(backend) => {
            let appender = backend.appender().expect("opened for writing").clone();
            backend.end_appender();
            appender.closed().await;
        }
        Backend::Sqlite(backend) => {
            let writer = backend.writer().expect("opened for writing").clone();
            let planted = Job::Write(Box::new(|_| panic!("planted: the writer ends")));
            drop(writer.send(planted).await);
            writer.closed().await;
        }
    }
}

/// Appends that wait in the queue of an open log.
pub fn queued(store: &EventStore) -> usize {
    fn waiting<T>(queue: &tokio::sync::mpsc::Sender<T>) -> usize {
        queue.max_capacity() - queue.capacity()
    }
    let queued = match &store.inner.backend {
        Backend::Postgres(backend) => backend.appender().map(waiting),
        Backend::Sqlite(backend) => backend.writer().map(waiting),
    };
    queued.unwrap_or_default()
}
