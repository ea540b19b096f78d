//! The right to rebuild a view: an advisory lock of a connection, and the hold on the live table.

use deadpool_postgres::Object;

use super::{LOCKS, PostgresViews, tables};
use crate::error::StoreError;
use crate::store::Generation;
use crate::table::TableDef;

/// The claim of one view's rebuild: a connection that holds an advisory lock. Dropping it closes the
/// connection, which gives the lock back and ends what the transaction held.
pub(crate) struct Claim {
    connection: Option<Object>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

impl PostgresViews {
    pub(crate) async fn claim(&self, def: &'static TableDef) -> Result<Option<Claim>, StoreError> {
        let claim = Claim {
            connection: Some(self.pool.get().await?),
        };
        let lock = "SELECT pg_try_advisory_lock($1, hashtext($2))";
        let locked: bool = claim
            .connection()?
            .query_one(lock, &[&LOCKS, &rebuild_lock(def)])
            .await?
            .get(0);
        Ok(locked.then_some(claim))
    }

    /// Whether anybody holds the claim.
    pub(crate) async fn is_claimed(&self, def: &'static TableDef) -> Result<bool, StoreError> {
        // The halves of a key are shown as unsigned numbers, and 2 says that there are two.
        let sql = "SELECT EXISTS (SELECT 1 FROM pg_locks
                   WHERE locktype = 'advisory' AND granted AND objsubid = 2
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND classid::bigint = $1::int4::bigint & 4294967295
                     AND objid::bigint = hashtext($2)::bigint & 4294967295)";
        let client = self.pool.get().await?;
        let row = client.query_one(sql, &[&LOCKS, &rebuild_lock(def)]).await?;
        Ok(row.get(0))
    }
}

impl Claim {
    fn connection(&self) -> Result<&Object, StoreError> {
        self.connection.as_ref().ok_or(StoreError::WriterGone)
    }

    /// Locks the live generation's row, which every commit of its projector updates.
    pub(crate) async fn hold_live(
        &mut self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        let connection = self.connection()?;
        connection.batch_execute("BEGIN").await?;
        connection
            .execute(
                "SELECT 1 FROM projection_generations WHERE view = $1 AND state = 'live' FOR UPDATE",
                &[&def.view],
            )
            .await?;
        tables::live(connection, def).await
    }

    pub(crate) async fn release_live(&mut self) -> Result<(), StoreError> {
        Ok(self.connection()?.batch_execute("ROLLBACK").await?)
    }

    pub(crate) async fn cut_over(
        &mut self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        let connection = self.connection()?;
        tables::point_to(connection, def, generation).await?;
        Ok(connection.batch_execute("COMMIT").await?)
    }

    /// Ends it at once; by being dropped it ends when the server notices.
    pub(crate) async fn give_back(mut self) {
        let unlock = "ROLLBACK; SELECT pg_advisory_unlock_all()";
        if let Ok(connection) = self.connection()
            && connection.batch_execute(unlock).await.is_ok()
        {
            // Clean, so it may go back into the pool.
            drop(self.connection.take());
        }
    }
}

fn rebuild_lock(def: &TableDef) -> String {
    format!("rebuild {}", def.view)
}
