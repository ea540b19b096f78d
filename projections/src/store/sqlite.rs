//! Views in `views.db` of the data directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use eventstore::Position;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::readers::Readers;
use super::writer::Writer;
use super::{Building, Committed, Generation, PageCommit};
use crate::error::{OpenError, StoreError};
use crate::fold::{Changes, LoadedRow, StoredRow};
use crate::schema;
use crate::table::{Dialect, TableDef};

mod claim;
mod lock;
mod migrate;
mod parked;
mod reads;
mod snapshot;
mod tables;

pub(crate) use claim::Claim;
use claim::Rebuilds;
pub(crate) use snapshot::Snapshot;

/// Rows written in one job of a bulk write.
const BULK_ROWS: usize = 500;

/// The embedded store.
#[derive(Clone)]
pub(crate) struct SqliteViews {
    writer: Writer,
    readers: Readers,
    rebuilds: Rebuilds,
    dir: PathBuf,
    _owner: Option<Arc<File>>,
}

impl SqliteViews {
    /// `alone`: nothing else keeps other processes out of the directory.
    pub(crate) fn open(dir: &Path, alone: bool) -> Result<Self, OpenError> {
        let owner = alone.then(|| lock::owner(dir)).transpose()?;
        let writer = tables::connect_writer(dir)?;
        schema::check(migrate::read(&writer)?)?;
        Ok(Self {
            writer: Writer::start(writer),
            readers: Readers::start(|| tables::connect(dir))?,
            rebuilds: Rebuilds::default(),
            dir: dir.to_owned(),
            _owner: owner.map(Arc::new),
        })
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.writer.has_ended()
    }

    /// Changes the size limit of the open database.
    #[cfg(feature = "testing")]
    pub(crate) async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        let limit = format!("PRAGMA max_page_count = {pages}");
        self.writer
            .run(move |connection| Ok(connection.query_row(&limit, [], |_| Ok(()))?))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(query).await
    }

    pub(crate) async fn live(
        &self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        self.read(move |connection| tables::live(connection, def))
            .await
    }

    pub(crate) async fn create_first(&self, def: &'static TableDef) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| tables::create_first(connection, def))
            .await
    }

    pub(crate) async fn load(
        &self,
        def: &'static TableDef,
        generation: i64,
        keys: Vec<Uuid>,
    ) -> Result<Vec<LoadedRow>, StoreError> {
        self.read(move |connection| {
            let table = def.table(generation);
            let sql = format!("SELECT key, seq, position, doc FROM {table} WHERE key = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = Vec::with_capacity(keys.len());
            for key in keys {
                let found = statement
                    .query_row([key.as_bytes().as_slice()], |row| {
                        Ok(LoadedRow {
                            key: tables::uuid(row, 0)?,
                            seq: row.get(1)?,
                            position: row.get(2)?,
                            doc: row.get(3)?,
                        })
                    })
                    .optional()?;
                rows.extend(found);
            }
            Ok(rows)
        })
        .await
    }

    /// Waits while a rebuild holds the table, as in Postgres.
    pub(crate) async fn commit(
        &self,
        def: &'static TableDef,
        mut page: PageCommit,
    ) -> Result<Committed, StoreError> {
        loop {
            let mut released = pin!(self.rebuilds.released().notified());
            // From here on no release is missed.
            released.as_mut().enable();
            let rebuilds = self.rebuilds.clone();
            let store = move |connection: &Connection| {
                if rebuilds.holds(def, page.generation) {
                    return Ok(Err(page));
                }
                tables::store(connection, def, &page).map(Ok)
            };
            match self.writer.run(store).await? {
                Ok(committed) => return Ok(committed),
                Err(held) => page = held,
            }
            released.await;
        }
    }

    pub(crate) async fn note_stopped(
        &self,
        def: &'static TableDef,
        generation: i64,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| {
                connection.execute(
                    "UPDATE projection_generations SET stopped = ?3 WHERE view = ?1 AND generation = ?2",
                    params![def.view, generation, reason],
                )?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn create_building(
        &self,
        def: &'static TableDef,
        building: Building,
    ) -> Result<Generation, StoreError> {
        self.writer
            .run(move |connection| {
                tables::drop_where(connection, def, building.drops())?;
                tables::create(connection, def, building.heeded)
            })
            .await
    }

    pub(crate) async fn bulk(
        &self,
        def: &'static TableDef,
        generation: i64,
        rows: Vec<StoredRow>,
    ) -> Result<(), StoreError> {
        let changes = Changes {
            written: rows,
            deleted: Vec::new(),
        };
        self.write(def, generation, changes, def.insert(&def.table(generation)))
            .await
    }

    pub(crate) async fn rewrite(
        &self,
        def: &'static TableDef,
        generation: i64,
        changes: Changes,
    ) -> Result<(), StoreError> {
        let upsert = def.upsert(Dialect::Sqlite, &def.table(generation));
        self.write(def, generation, changes, upsert).await
    }

    /// In chunks, so that other jobs of the writer thread are not kept waiting for long.
    async fn write(
        &self,
        def: &'static TableDef,
        generation: i64,
        Changes { written, deleted }: Changes,
        sql: String,
    ) -> Result<(), StoreError> {
        let mut rows = written.into_iter();
        loop {
            let chunk: Vec<_> = rows.by_ref().take(BULK_ROWS).collect();
            if chunk.is_empty() {
                break;
            }
            let sql = sql.clone();
            self.writer
                .run(move |connection| tables::write(connection, &sql, &chunk))
                .await?;
        }
        let table = def.table(generation);
        self.writer
            .run(move |connection| tables::delete(connection, &table, &deleted))
            .await
    }

    pub(crate) async fn execute(&self, ddl: Vec<String>) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| Ok(connection.execute_batch(&ddl.join(";\n"))?))
            .await
    }

    pub(crate) async fn drop_old(&self, def: &'static TableDef) -> Result<usize, StoreError> {
        self.writer
            .run(move |connection| tables::drop_where(connection, def, "state = 'retired'"))
            .await
    }

    pub(crate) async fn building(
        &self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        self.read(move |connection| tables::building(connection, def))
            .await
    }

    pub(crate) async fn take_up(
        &self,
        def: &'static TableDef,
        table: &Generation,
    ) -> Result<(), StoreError> {
        let (generation, beyond) = (table.number, table.checkpoint.position.0);
        let heeded = table.heeded.map(|position| position.0);
        self.writer
            .run(move |connection| {
                connection.execute(
                    "DELETE FROM projection_parked
                     WHERE view = ?1 AND generation = ?2 AND position > ?3",
                    params![def.view, generation, beyond],
                )?;
                connection.execute(
                    "UPDATE projection_generations SET heeded = ?3, waits = false
                     WHERE view = ?1 AND generation = ?2",
                    params![def.view, generation, heeded],
                )?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn furthest(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Position, StoreError> {
        let table = def.table(generation);
        self.read(move |connection| {
            let sql = format!("SELECT coalesce(max(position), 0) FROM {table}");
            Ok(Position(connection.query_row(&sql, [], |row| row.get(0))?))
        })
        .await
    }

    pub(crate) async fn note_waiting(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| {
                connection.execute(
                    "UPDATE projection_generations SET waits = true WHERE view = ?1 AND generation = ?2",
                    params![def.view, generation],
                )?;
                Ok(())
            })
            .await
    }
}
