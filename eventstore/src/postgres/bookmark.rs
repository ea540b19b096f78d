//! Bookmarks, each under the lease of the same name.

use super::Postgres;
use crate::error::ReadError;
use crate::lease::Lease;
use crate::position::{Checkpoint, Position};

/// Nothing is written for a lease that has passed to somebody else: not after the new holder has written, and, as the lease's
/// own row is looked at too, not before either.
const SET: &str = "INSERT INTO log_bookmarks AS b (name, token, position, event_id) \
     SELECT $1::text, $2::bigint, $3::bigint, $4::uuid WHERE EXISTS (SELECT 1 FROM log_leases WHERE name = $1 AND token = $2) \
     ON CONFLICT (name) DO UPDATE SET token = excluded.token, position = excluded.position, \
     event_id = excluded.event_id WHERE b.token <= excluded.token RETURNING 1";
const GET: &str = "SELECT position, event_id FROM log_bookmarks WHERE name = $1";

impl Postgres {
    pub(crate) async fn set_bookmark(
        &self,
        lease: &Lease,
        at: Checkpoint,
    ) -> Result<bool, ReadError> {
        let rows = self
            .reads
            .query(
                SET,
                &[&lease.name, &lease.token, &at.position.0, &at.event_id],
            )
            .await?;
        Ok(!rows.is_empty())
    }

    pub(crate) async fn bookmark(&self, name: &str) -> Result<Option<Checkpoint>, ReadError> {
        let rows = self.reads.query(GET, &[&name]).await?;
        Ok(rows.first().map(|row| Checkpoint {
            position: Position(row.get(0)),
            event_id: row.get(1),
        }))
    }
}
