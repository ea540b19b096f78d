//! The reading connections of `views.db`.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::{OpenError, StoreError};

/// Connections for reading. Far more of them than cores would only wait for each other.
const CONNECTIONS: usize = 4;

/// A small pool; queries wait their turn.
#[derive(Clone)]
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn start(
        connect: impl Fn() -> Result<Connection, OpenError>,
    ) -> Result<Self, OpenError> {
        let idle = (0..CONNECTIONS)
            .map(|_| connect())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            idle: Arc::new(Mutex::new(idle)),
            turns: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// Runs a query on a thread for blocking work. A caller that goes away leaves it to end there; the
    /// connection comes back in any case.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let idle = Arc::clone(&self.idle);
        let run = spawn_blocking(move || {
            let _turn = turn;
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = taken.ok_or(StoreError::WriterGone)?;
            let result = query(&connection);
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            result
        });
        run.await.map_err(|_| StoreError::WriterGone)?
    }
}
