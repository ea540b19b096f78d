//! Views in Postgres, usually beside the log.

use std::collections::HashSet;

use deadpool_postgres::{Object, Pool};
use eventstore::{Location, Position};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    Committed, Generation, MIGRATIONS_TABLE, PageCommit, ParkedEvent, RETIRED_TABLES_STAY_MS,
};
use crate::error::{OpenError, StoreError};
use crate::fold::{Changes, StoredRow};
use crate::table::{Condition, Dialect, Sort, TableDef};

mod connect;
mod rows;
mod tables;

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// Connections: three projectors, a rebuild with its claim, and queries.
const CONNECTIONS: usize = 12;

/// Indexes made at once; each takes a core of the server and its `maintenance_work_mem`.
const INDEXES_AT_ONCE: usize = 2;

/// First half of our advisory locks' keys; the second tells them apart.
const LOCKS: i32 = 0x626d_7677;

/// The lock of a migration.
const MIGRATION: &str = "migration";

/// The store in Postgres.
#[derive(Clone)]
pub(crate) struct PostgresViews {
    pool: Pool,
}

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

    pub(crate) async fn cut_over(
        mut self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        let connection = self.connection()?;
        tables::point_to(connection, def, generation).await?;
        connection.batch_execute("COMMIT").await?;
        let unlock = "SELECT pg_advisory_unlock($1, hashtext($2))";
        connection
            .execute(unlock, &[&LOCKS, &rebuild_lock(def)])
            .await?;
        // Clean, so it may go back into the pool.
        drop(self.connection.take());
        Ok(())
    }
}

fn rebuild_lock(def: &TableDef) -> String {
    format!("rebuild {}", def.view)
}

impl PostgresViews {
    pub(crate) async fn migrate(location: &Location) -> Result<(), OpenError> {
        let mut client = connect::one(&connect::config(location)?).await?;
        let lock = "SELECT pg_advisory_lock($1, hashtext($2))";
        client
            .execute(lock, &[&LOCKS, &MIGRATION])
            .await
            .map_err(|error| OpenError::Connect(Box::new(error)))?;
        // The lock goes with the connection.
        migrations::migrations::runner()
            .set_migration_table_name(MIGRATIONS_TABLE)
            .run_async(&mut client)
            .await
            .map_err(|error| OpenError::Migrate(Box::new(error)))?;
        Ok(())
    }

    pub(crate) async fn open(location: &Location) -> Result<Self, OpenError> {
        let pool = connect::pool(connect::config(location)?, CONNECTIONS)?;
        let store = Self { pool };
        let client = store
            .pool
            .get()
            .await
            .map_err(|error| OpenError::Connect(Box::new(error)))?;
        client
            .execute("SELECT 1 FROM projection_generations LIMIT 1", &[])
            .await
            .map_err(|error| OpenError::Schema(error.into()))?;
        drop(client);
        Ok(store)
    }

    pub(crate) async fn live(
        &self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        tables::live(&self.pool.get().await?, def).await
    }

    pub(crate) async fn create_first(&self, def: &'static TableDef) -> Result<(), StoreError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        transaction
            .execute(
                "SELECT pg_advisory_xact_lock($1, hashtext($2))",
                &[&LOCKS, &format!("first {}", def.view)],
            )
            .await?;
        tables::create_first(&transaction, def).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn parked_keys(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<HashSet<Uuid>, StoreError> {
        let sql = "SELECT DISTINCT key FROM projection_parked WHERE view = $1 AND generation = $2";
        let client = self.pool.get().await?;
        let rows = client.query(sql, &[&def.view, &generation]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(crate) async fn parked(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<(Vec<ParkedEvent>, u64), StoreError> {
        let client = self.pool.get().await?;
        let list = "SELECT key, position, event_type, reason FROM projection_parked
                    WHERE view = $1 AND generation = $2 ORDER BY position LIMIT $3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = client
            .query(list, &[&def.view, &generation, &limit])
            .await?;
        let count = "SELECT count(DISTINCT key) FROM projection_parked
                     WHERE view = $1 AND generation = $2";
        let keys: i64 = client
            .query_one(count, &[&def.view, &generation])
            .await?
            .get(0);
        let listed = rows.iter().map(|row| ParkedEvent {
            key: row.get(0),
            position: Position(row.get(1)),
            event_type: row.get(2),
            reason: row.get(3),
        });
        Ok((listed.collect(), keys.unsigned_abs()))
    }

    pub(crate) async fn load(
        &self,
        def: &'static TableDef,
        generation: i64,
        keys: Vec<Uuid>,
    ) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
        let client = self.pool.get().await?;
        let table = def.table(generation);
        let sql = format!("SELECT key, seq, CAST(doc AS text) FROM {table} WHERE key = ANY($1)");
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&keys]).await?;
        Ok(rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect())
    }

    pub(crate) async fn commit(
        &self,
        def: &'static TableDef,
        page: PageCommit,
    ) -> Result<Committed, StoreError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        if !tables::advance(&transaction, def, &page).await? {
            return Ok(Committed::Fenced);
        }
        let table = def.table(page.generation);
        rows::change(&transaction, def, &table, &page.changes).await?;
        tables::park(&transaction, def, page.generation, &page.parked).await?;
        transaction.commit().await?;
        Ok(Committed::Yes)
    }

    pub(crate) async fn note_stopped(
        &self,
        def: &'static TableDef,
        generation: i64,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        let sql =
            "UPDATE projection_generations SET stopped = $3 WHERE view = $1 AND generation = $2";
        let client = self.pool.get().await?;
        client
            .execute(sql, &[&def.view, &generation, &reason])
            .await?;
        Ok(())
    }

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

    pub(crate) async fn create_building(
        &self,
        def: &'static TableDef,
    ) -> Result<Generation, StoreError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        tables::drop_where(&transaction, def, "state = 'building'").await?;
        let generation = tables::create(&transaction, def).await?;
        transaction.commit().await?;
        Ok(generation)
    }

    pub(crate) async fn bulk(
        &self,
        def: &'static TableDef,
        generation: i64,
        rows: Vec<StoredRow>,
    ) -> Result<(), StoreError> {
        let client = self.pool.get().await?;
        rows::copy(&client, def, &def.table(generation), &rows).await
    }

    pub(crate) async fn rewrite(
        &self,
        def: &'static TableDef,
        generation: i64,
        changes: Changes,
    ) -> Result<(), StoreError> {
        let client = self.pool.get().await?;
        rows::change(&client, def, &def.table(generation), &changes).await
    }

    /// Indexes of one table can be made side by side.
    pub(crate) async fn execute(&self, ddl: Vec<String>) -> Result<(), StoreError> {
        stream::iter(ddl)
            .map(|ddl| async move { Ok(self.pool.get().await?.batch_execute(&ddl).await?) })
            .buffer_unordered(INDEXES_AT_ONCE)
            .try_collect()
            .await
    }

    pub(crate) async fn drop_retired(&self, def: &'static TableDef) -> Result<(), StoreError> {
        let old = format!(
            "state = 'retired' AND retired_at <= {} - {RETIRED_TABLES_STAY_MS}",
            tables::NOW_MS
        );
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        tables::drop_where(&transaction, def, &old).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn list(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        sort: Sort,
        limit: usize,
    ) -> Result<(Position, Vec<(i64, String)>), StoreError> {
        let client = self.pool.get().await?;
        let generation = self.known_live(&client, def).await?;
        let table = def.table(generation.number);
        let (sql, values) = def.page_query(Dialect::Postgres, &table, &conditions, sort, limit);
        let statement = client.prepare_cached(&sql).await?;
        let params: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let rows = client.query(&statement, &params).await?;
        let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok((generation.checkpoint.position, rows))
    }

    pub(crate) async fn get(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<(Position, Option<String>), StoreError> {
        let client = self.pool.get().await?;
        let generation = self.known_live(&client, def).await?;
        let table = def.table(generation.number);
        let sql = format!("SELECT CAST(doc AS text) FROM {table} WHERE key = $1");
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_opt(&statement, &[&key]).await?;
        Ok((generation.checkpoint.position, row.map(|row| row.get(0))))
    }

    /// Where the pointer leads now. The rows are read after it, so they are at least as young; should
    /// it move in between, the table it left stays for a minute.
    async fn known_live(
        &self,
        client: &Object,
        def: &'static TableDef,
    ) -> Result<Generation, StoreError> {
        tables::live(client, def)
            .await?
            .ok_or(StoreError::NoTable { view: def.view })
    }
}
