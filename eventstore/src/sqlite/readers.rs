//! Connections for reading, each used by one blocking task at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{connection, fault};
use crate::error::ReadError;
use crate::names::Names;

pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) names: Names,
}

#[derive(Clone)]
pub(super) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Readers {
    pub(super) fn new(path: PathBuf, most: usize) -> Self {
        Readers {
            path,
            permits: Arc::new(Semaphore::new(most.max(1))),
            idle: Arc::default(),
        }
    }

    /// Runs a read off the async threads. If the caller goes away, the read ends by itself and its connection comes back.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Reader) -> Result<T, ReadError> + Send + 'static,
    {
        let unavailable = |e: &dyn std::fmt::Display| ReadError::Unavailable(e.to_string());
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|e| unavailable(&e))?;
        let readers = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut reader = readers.take()?;
            let outcome = work(&mut reader);
            readers
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(reader);
            outcome
        });
        task.await.map_err(|e| unavailable(&e))?
    }

    fn take(&self) -> Result<Reader, ReadError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(reader) => Ok(reader),
            None => self.fresh(),
        }
    }

    /// A connection outside the pool.
    pub(super) fn fresh(&self) -> Result<Reader, ReadError> {
        let connection = connection::read(&self.path).map_err(|e| fault::reading(&e))?;
        Ok(Reader {
            connection,
            names: Names::default(),
        })
    }
}
