//! Leases, and the way other small writes reach the writer thread.

use std::time::Duration;

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Sqlite;
use super::fault::{self, Fault};
use super::row::micros;
use super::writer::{Answer, Job};
use crate::error::ReadError;
use crate::lease::Lease;

const TAKE: &str = "INSERT INTO log_leases (name, owner, token, expires_at) VALUES (?1, ?2, 1, ?4) \
     ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at, \
     token = token + (owner <> excluded.owner) \
     WHERE owner = excluded.owner OR expires_at <= ?3 RETURNING token";

/// Frees every lease, by whoever has the lock of the directory: those who had leases had it before, and are gone. Where that cannot be
/// written, they run out by themselves.
pub(super) fn free_all(connection: &Connection) {
    let free = "UPDATE log_leases SET expires_at = 0 WHERE expires_at > 0";
    if let Err(error) = connection.execute(free, []) {
        tracing::warn!(%error, "leases of the process before are left to run out");
    }
}

impl Sqlite {
    pub(crate) async fn try_lease(
        &self,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Option<Lease>, ReadError> {
        let name = name.to_owned();
        let ttl = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
        self.write(move |connection| {
            let now = micros(Utc::now());
            let mut take = connection.prepare_cached(TAKE)?;
            let token = take.query_row(
                params![name, owner.as_bytes(), now, now.saturating_add(ttl)],
                |row| row.get(0),
            );
            Ok(token.optional()?.map(|token| Lease { name, owner, token }))
        })
        .await
    }

    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<(), ReadError> {
        let (name, owner) = (lease.name.clone(), lease.owner);
        self.write(move |connection| {
            let release = "UPDATE log_leases SET expires_at = 0 WHERE name = ?1 AND owner = ?2";
            connection
                .prepare_cached(release)?
                .execute(params![name, owner.as_bytes()])
                .map(drop)
        })
        .await
    }

    /// Changes the size limit of the open database.
    #[cfg(feature = "testing")]
    pub(crate) async fn limit_pages(&self, pages: u32) -> Result<(), ReadError> {
        self.write(move |connection| super::connection::limit_pages(connection, pages))
            .await
    }

    /// Runs a small write in the writer's next transaction and waits for its commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let stopped = || ReadError::Unavailable("the write was not done".to_owned());
        let Some(writer) = &self.writer else {
            return Err(ReadError::Unavailable("opened for reading only".to_owned()));
        };
        let (reply, outcome) = oneshot::channel();
        let job = Job::Write(Box::new(move |connection| {
            let result = work(connection);
            Box::new(move |committed: Result<(), Fault>| {
                let result = result.map_err(|e| fault::reading(&e));
                // A caller that has gone away does not want the answer.
                drop(reply.send(committed.map_err(ReadError::from).and(result)));
            }) as Answer
        }));
        writer.send(job).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }
}
