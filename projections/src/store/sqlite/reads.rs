//! What readers ask of the live table.

use rusqlite::{Connection, OptionalExtension, params_from_iter};
use uuid::Uuid;

use super::{SqliteViews, tables};
use crate::error::StoreError;
use crate::store::{Generation, Tally};
use crate::table::{Condition, Dialect, Sort, TableDef, needed};

impl SqliteViews {
    pub(crate) async fn list(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        sort: Sort,
        limit: usize,
    ) -> Result<(Generation, Vec<(i64, String)>), StoreError> {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let generation = answering(&snapshot, def, needed(&conditions, Some(sort)))?;
            let table = def.table(generation.number);
            let (sql, values) = def.page_query(Dialect::Sqlite, &table, &conditions, sort, limit);
            let mut statement = snapshot.prepare_cached(&sql)?;
            let rows = statement
                .query_map(params_from_iter(&values), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<Result<_, _>>()?;
            Ok((generation, rows))
        })
        .await
    }

    pub(crate) async fn count(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
    ) -> Result<u64, StoreError> {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let generation = answering(&snapshot, def, needed(&conditions, None))?;
            let table = def.table(generation.number);
            let (sql, values) = def.count_query(Dialect::Sqlite, &table, &conditions);
            let count: i64 = snapshot
                .prepare_cached(&sql)?
                .query_row(params_from_iter(&values), |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    pub(crate) async fn tally(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        column: &'static str,
    ) -> Result<Tally, StoreError> {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let generation = answering(&snapshot, def, needed(&conditions, None).chain([column]))?;
            let table = def.table(generation.number);
            let (sql, values) = def.tally_query(Dialect::Sqlite, &table, &conditions, column);
            let mut statement = snapshot.prepare_cached(&sql)?;
            let counts = statement
                .query_map(params_from_iter(&values), |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
                })?
                .collect::<Result<_, _>>()?;
            Ok((generation, counts))
        })
        .await
    }

    pub(crate) async fn get(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<(Generation, Option<String>), StoreError> {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let generation = tables::known_live(&snapshot, def)?;
            let table = def.table(generation.number);
            let doc = snapshot
                .prepare_cached(&format!("SELECT doc FROM {table} WHERE key = ?1"))?
                .query_row([key.as_bytes().as_slice()], |row| row.get(0))
                .optional()?;
            Ok((generation, doc))
        })
        .await
    }
}

/// The live table, if it has these columns: one of another version of the view may not.
fn answering(
    connection: &Connection,
    def: &'static TableDef,
    columns: impl Iterator<Item = &'static str>,
) -> Result<Generation, StoreError> {
    let generation = tables::known_live(connection, def)?;
    if generation.version != def.version {
        let mut statement = connection.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
        let known = statement
            .query_map([def.table(generation.number)], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        def.require(&known, columns)?;
    }
    Ok(generation)
}
