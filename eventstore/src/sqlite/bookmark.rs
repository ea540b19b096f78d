//! Bookmarks, each under the lease of the same name.

use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use super::{Sqlite, fault};
use crate::error::ReadError;
use crate::lease::Lease;
use crate::position::{Checkpoint, Position};

/// Nothing is written for a lease that has passed to somebody else.
const SET: &str = "INSERT INTO log_bookmarks (name, token, position, event_id) \
     SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM log_leases WHERE name = ?1 AND token = ?2) \
     ON CONFLICT (name) DO UPDATE SET token = excluded.token, position = excluded.position, \
     event_id = excluded.event_id WHERE token <= excluded.token";
const GET: &str = "SELECT position, event_id FROM log_bookmarks WHERE name = ?1";

impl Sqlite {
    pub(crate) async fn set_bookmark(
        &self,
        lease: &Lease,
        at: Checkpoint,
    ) -> Result<bool, ReadError> {
        let lease = lease.clone();
        self.write(move |connection| {
            let event_id = at.event_id.as_bytes();
            let values = params![lease.name, lease.token, at.position.0, event_id];
            let changed = connection.prepare_cached(SET)?.execute(values)?;
            Ok(changed > 0)
        })
        .await
    }

    pub(crate) async fn bookmark(&self, name: &str) -> Result<Option<Checkpoint>, ReadError> {
        let name = name.to_owned();
        self.readers
            .read(move |reader| {
                let found = reader
                    .connection
                    .prepare_cached(GET)
                    .and_then(|mut get| get.query_row([name], checkpoint).optional());
                found.map_err(|e| fault::reading(&e))
            })
            .await
    }
}

fn checkpoint(row: &rusqlite::Row<'_>) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint {
        position: Position(row.get(0)?),
        event_id: Uuid::from_bytes(row.get(1)?),
    })
}
