//! Leases, by the server's clock.

use std::time::Duration;

use uuid::Uuid;

use super::Postgres;
use crate::error::ReadError;
use crate::lease::Lease;

const TAKE: &str = "INSERT INTO log_leases AS l (name, owner, token, expires_at) \
     VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 microsecond') \
     ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at, \
     token = l.token + (l.owner <> excluded.owner)::int \
     WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp() RETURNING token";
const RELEASE: &str = "UPDATE log_leases SET expires_at = 'epoch' WHERE name = $1 AND owner = $2";

impl Postgres {
    pub(crate) async fn try_lease(
        &self,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Option<Lease>, ReadError> {
        let micros = ttl.as_micros() as f64;
        let rows = self.reads.query(TAKE, &[&name, &owner, &micros]).await?;
        Ok(rows.first().map(|row| Lease {
            name: name.to_owned(),
            owner,
            token: row.get(0),
        }))
    }

    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<(), ReadError> {
        self.reads
            .query(RELEASE, &[&lease.name, &lease.owner])
            .await
            .map(drop)
    }
}
