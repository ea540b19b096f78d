//! The embedded log: one SQLite database in WAL mode, one writer thread with group commit, readers beside it.

mod append;
mod bookmark;
mod connection;
mod fault;
mod intake;
mod keys;
mod lease;
mod lock;
mod migrate;
mod read;
mod readers;
mod row;
mod scan;
mod writer;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::error::OpenError;
use crate::hint::Hint;
use crate::options::{Access, Options};
use crate::position::Position;
use crate::stats::Counters;

pub(crate) use intake::Intake;
pub(crate) use migrate::migrate;
pub(crate) use writer::Job;

use readers::Readers;

/// Name of the database file in the directory.
const DATABASE_FILE: &str = "events.db";

#[derive(Debug)]
pub(crate) struct Sqlite {
    /// Absent when opened for reading only.
    writer: Option<mpsc::Sender<Job>>,
    readers: Readers,
}

impl Sqlite {
    pub(crate) async fn open(
        dir: &Path,
        options: &Options,
        counters: &Arc<Counters>,
    ) -> Result<(Sqlite, Arc<Hint>), OpenError> {
        let (dir, options, counters) = (dir.to_owned(), options.clone(), Arc::clone(counters));
        blocking(move || open_blocking(&dir, &options, counters)).await
    }

    pub(crate) fn writer(&self) -> Option<&mpsc::Sender<Job>> {
        self.writer.as_ref()
    }
}

fn open_blocking(
    dir: &Path,
    options: &Options,
    counters: Arc<Counters>,
) -> Result<(Sqlite, Arc<Hint>), OpenError> {
    let path = dir.join(DATABASE_FILE);
    let (writer, hint) = match options.access {
        Access::ReadOnly => {
            migrate::check(&connection::read(&path).map_err(|e| fault::opening(&e))?)?;
            (None, Arc::new(Hint::new(Position::ZERO)))
        }
        Access::Write => {
            let lock = lock::writer(dir)?;
            let connection = connection::write(&path, options.max_page_count)?;
            migrate::check(&connection)?;
            lease::free_all(&connection);
            let head = read::head(&connection).map_err(|e| fault::opening(&e))?;
            let hint = Arc::new(Hint::new(head));
            let writer = writer::spawn(connection, lock, head, Arc::clone(&hint), counters)
                .map_err(|source| OpenError::Io {
                    path: path.clone(),
                    source,
                })?;
            (Some(writer), hint)
        }
    };
    let readers = Readers::new(path, options.read_connections);
    Ok((Sqlite { writer, readers }, hint))
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(OpenError::Unavailable(error.to_string())),
    }
}
