//! Views in `views.db` of the data directory.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventstore::Position;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use uuid::Uuid;

use super::readers::Readers;
use super::writer::Writer;
use super::{
    Committed, Generation, MIGRATIONS_TABLE, PageCommit, ParkedEvent, RETIRED_TABLES_STAY_MS,
};
use crate::error::{OpenError, StoreError};
use crate::fold::{Changes, StoredRow};
use crate::table::{Condition, Dialect, Sort, TableDef};

mod tables;

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Rows written in one job of a bulk write.
const BULK_ROWS: usize = 500;

/// The embedded store.
#[derive(Clone)]
pub(crate) struct SqliteViews {
    writer: Writer,
    readers: Readers,
    rebuilds: Arc<Mutex<Rebuilds>>,
}

/// One process writes the file, so claims and holds live in memory.
#[derive(Default)]
struct Rebuilds {
    claimed: HashSet<&'static str>,
    held: HashMap<&'static str, i64>,
}

/// The claim of one view's rebuild.
pub(crate) struct Claim {
    store: SqliteViews,
    view: &'static str,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut rebuilds = self.store.rebuilds();
        rebuilds.claimed.remove(self.view);
        rebuilds.held.remove(self.view);
    }
}

impl SqliteViews {
    pub(crate) fn migrate(dir: &Path) -> Result<(), OpenError> {
        let mut connection = tables::connect(dir)?;
        migrations::migrations::runner()
            .set_migration_table_name(MIGRATIONS_TABLE)
            .run(&mut connection)
            .map_err(|error| OpenError::Migrate(Box::new(error)))?;
        Ok(())
    }

    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        let writer = tables::connect(dir)?;
        writer
            .execute_batch("SELECT 1 FROM projection_generations")
            .map_err(|error| OpenError::Schema(error.into()))?;
        Ok(Self {
            writer: Writer::start(writer),
            readers: Readers::start(|| tables::connect(dir))?,
            rebuilds: Arc::default(),
        })
    }

    fn rebuilds(&self) -> MutexGuard<'_, Rebuilds> {
        self.rebuilds.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(crate) async fn parked_keys(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<HashSet<Uuid>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT key FROM projection_parked WHERE view = ?1 AND generation = ?2",
            )?;
            let keys =
                statement.query_map(params![def.view, generation], |row| tables::uuid(row, 0))?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn parked(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<(Vec<ParkedEvent>, u64), StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, position, event_type, reason FROM projection_parked
                 WHERE view = ?1 AND generation = ?2 ORDER BY position LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let listed = statement
                .query_map(params![def.view, generation, limit], |row| {
                    Ok(ParkedEvent {
                        key: tables::uuid(row, 0)?,
                        position: Position(row.get(1)?),
                        event_type: row.get(2)?,
                        reason: row.get(3)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let keys: i64 = connection.query_row(
                "SELECT count(DISTINCT key) FROM projection_parked WHERE view = ?1 AND generation = ?2",
                params![def.view, generation],
                |row| row.get(0),
            )?;
            Ok((listed, keys.unsigned_abs()))
        })
        .await
    }

    pub(crate) async fn load(
        &self,
        def: &'static TableDef,
        generation: i64,
        keys: Vec<Uuid>,
    ) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
        self.read(move |connection| {
            let table = def.table(generation);
            let sql = format!("SELECT key, seq, doc FROM {table} WHERE key = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = Vec::with_capacity(keys.len());
            for key in keys {
                let found = statement
                    .query_row([key.as_bytes().as_slice()], |row| {
                        Ok((tables::uuid(row, 0)?, row.get(1)?, row.get(2)?))
                    })
                    .optional()?;
                rows.extend(found);
            }
            Ok(rows)
        })
        .await
    }

    pub(crate) async fn commit(
        &self,
        def: &'static TableDef,
        page: PageCommit,
    ) -> Result<Committed, StoreError> {
        let rebuilds = Arc::clone(&self.rebuilds);
        self.writer
            .run(move |connection| {
                let held = rebuilds
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .held
                    .get(def.view)
                    == Some(&page.generation);
                if held || !tables::advance(connection, def, &page)? {
                    return Ok(Committed::Fenced);
                }
                let table = def.table(page.generation);
                let upsert = def.upsert(Dialect::Sqlite, &table);
                tables::write(connection, &upsert, &page.changes.written)?;
                tables::delete(connection, &table, &page.changes.deleted)?;
                tables::park(connection, def, &page)?;
                Ok(Committed::Yes)
            })
            .await
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

    pub(crate) fn claim(&self, def: &'static TableDef) -> Option<Claim> {
        self.rebuilds().claimed.insert(def.view).then(|| Claim {
            store: self.clone(),
            view: def.view,
        })
    }

    pub(crate) async fn create_building(
        &self,
        def: &'static TableDef,
    ) -> Result<Generation, StoreError> {
        self.writer
            .run(move |connection| {
                tables::drop_where(connection, def, "state = 'building'")?;
                tables::create(connection, def)
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

    pub(crate) async fn drop_retired(&self, def: &'static TableDef) -> Result<(), StoreError> {
        let old = format!(
            "state = 'retired' AND retired_at <= {} - {RETIRED_TABLES_STAY_MS}",
            tables::NOW_MS
        );
        self.writer
            .run(move |connection| tables::drop_where(connection, def, &old))
            .await
    }

    pub(crate) async fn list(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        sort: Sort,
        limit: usize,
    ) -> Result<(Position, Vec<(i64, String)>), StoreError> {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let generation = tables::known_live(&snapshot, def)?;
            let table = def.table(generation.number);
            let (sql, values) = def.page_query(Dialect::Sqlite, &table, &conditions, sort, limit);
            let mut statement = snapshot.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params_from_iter(&values), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<Result<_, _>>()?;
            Ok((generation.checkpoint.position, rows))
        })
        .await
    }

    pub(crate) async fn get(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<(Position, Option<String>), StoreError> {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let generation = tables::known_live(&snapshot, def)?;
            let table = def.table(generation.number);
            let doc = snapshot
                .prepare_cached(&format!("SELECT doc FROM {table} WHERE key = ?1"))?
                .query_row([key.as_bytes().as_slice()], |row| row.get(0))
                .optional()?;
            Ok((generation.checkpoint.position, doc))
        })
        .await
    }
}

impl Claim {
    pub(crate) async fn hold_live(
        &mut self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        let rebuilds = Arc::clone(&self.store.rebuilds);
        self.store
            .writer
            .run(move |connection| {
                // On the writer thread, so that no commit can be between the look and the hold.
                let live = tables::live(connection, def)?;
                if let Some(live) = &live {
                    let mut rebuilds = rebuilds.lock().unwrap_or_else(PoisonError::into_inner);
                    rebuilds.held.insert(def.view, live.number);
                }
                Ok(live)
            })
            .await
    }

    pub(crate) async fn cut_over(
        self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .run(move |connection| tables::point_to(connection, def, generation))
            .await
    }
}
