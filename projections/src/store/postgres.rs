//! Views in Postgres, usually beside the log.

use std::time::Duration;

use deadpool_postgres::Pool;
use eventstore::{Location, Position};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::{Building, Committed, Generation, PageCommit};
use crate::error::{OpenError, StoreError};
use crate::fold::{Changes, LoadedRow, StoredRow};
use crate::schema;
use crate::table::TableDef;

mod claim;
mod connect;
mod migrate;
mod parked;
mod reads;
mod rows;
mod snapshot;
mod tables;

pub(crate) use claim::Claim;
pub(crate) use snapshot::Snapshot;

/// Connections: three projectors, a rebuild with its claim, and queries.
const CONNECTIONS: usize = 12;

/// Indexes made at once; each takes a core of the server and its `maintenance_work_mem`.
const INDEXES_AT_ONCE: usize = 2;

/// Longest making of one index.
const INDEX_TIMEOUT: Duration = Duration::from_secs(3_600);

/// First half of our advisory locks' keys; the second tells them apart.
const LOCKS: i32 = 0x626d_7677;

/// The store in Postgres.
#[derive(Clone)]
pub(crate) struct PostgresViews {
    pool: Pool,
}

impl PostgresViews {
    pub(crate) async fn open(location: &Location) -> Result<Self, OpenError> {
        let pool = connect::pool(connect::config(location)?, CONNECTIONS)?;
        let client = pool
            .get()
            .await
            .map_err(|error| OpenError::Connect(Box::new(error)))?;
        schema::check(migrate::read(&client).await?)?;
        drop(client);
        Ok(Self { pool })
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

    pub(crate) async fn load(
        &self,
        def: &'static TableDef,
        generation: i64,
        keys: Vec<Uuid>,
    ) -> Result<Vec<LoadedRow>, StoreError> {
        let client = self.pool.get().await?;
        let table = def.table(generation);
        let sql = format!(
            "SELECT key, seq, position, CAST(doc AS text) FROM {table} WHERE key = ANY($1)"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&keys]).await?;
        let loaded = rows.iter().map(|row| LoadedRow {
            key: row.get(0),
            seq: row.get(1),
            position: row.get(2),
            doc: row.get(3),
        });
        Ok(loaded.collect())
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
        if !parked::release(&transaction, def, page.generation, &page.released).await? {
            return Ok(Committed::Fenced);
        }
        let table = def.table(page.generation);
        rows::change(&transaction, def, &table, &page.changes).await?;
        parked::park(&transaction, def, page.generation, &page.parked).await?;
        transaction.commit().await?;
        Ok(Committed::Yes)
    }

    pub(crate) fn forget_connections(&self) {
        self.pool.retain(|_, _| false);
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

    pub(crate) async fn create_building(
        &self,
        def: &'static TableDef,
        building: Building,
    ) -> Result<Generation, StoreError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        tables::drop_where(&transaction, def, building.drops()).await?;
        let generation = tables::create(&transaction, def, building.heeded).await?;
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
        let long = format!(
            "SET LOCAL statement_timeout = {}",
            INDEX_TIMEOUT.as_millis()
        );
        let make = async |ddl: String| {
            let mut client = self.pool.get().await?;
            let transaction = client.transaction().await?;
            transaction.batch_execute(&long).await?;
            transaction.batch_execute(&ddl).await?;
            Ok(transaction.commit().await?)
        };
        stream::iter(ddl)
            .map(make)
            .buffer_unordered(INDEXES_AT_ONCE)
            .try_collect()
            .await
    }

    pub(crate) async fn drop_old(&self, def: &'static TableDef) -> Result<usize, StoreError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        let dropped = tables::drop_where(&transaction, def, "state = 'retired'").await?;
        transaction.commit().await?;
        Ok(dropped)
    }

    pub(crate) async fn building(
        &self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        tables::building(&self.pool.get().await?, def).await
    }

    pub(crate) async fn take_up(
        &self,
        def: &'static TableDef,
        table: &Generation,
    ) -> Result<(), StoreError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        let sql = "DELETE FROM projection_parked
                   WHERE view = $1 AND generation = $2 AND position > $3";
        let beyond = table.checkpoint.position.0;
        transaction
            .execute(sql, &[&def.view, &table.number, &beyond])
            .await?;
        let sql = "UPDATE projection_generations SET heeded = $3, waits = false
                   WHERE view = $1 AND generation = $2";
        let heeded = table.heeded.map(|position| position.0);
        transaction
            .execute(sql, &[&def.view, &table.number, &heeded])
            .await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn furthest(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Position, StoreError> {
        let table = def.table(generation);
        let sql = format!("SELECT coalesce(max(position), 0) FROM {table}");
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        // How long it takes depends on the table.
        transaction
            .batch_execute("SET LOCAL statement_timeout = 0")
            .await?;
        Ok(Position(transaction.query_one(&sql, &[]).await?.get(0)))
    }

    pub(crate) async fn note_waiting(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        let sql =
            "UPDATE projection_generations SET waits = true WHERE view = $1 AND generation = $2";
        let client = self.pool.get().await?;
        client.execute(sql, &[&def.view, &generation]).await?;
        Ok(())
    }
}
