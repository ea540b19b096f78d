//! What readers ask of the live table.

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{PostgresViews, tables};
use crate::error::StoreError;
use crate::store::{Generation, Tally};
use crate::table::{Condition, Dialect, Param, Sort, TableDef, needed};

/// How often a reader follows the pointer before it gives up: each time a whole rebuild has passed in
/// between.
const LOOKS_MAX: u32 = 5;

impl PostgresViews {
    pub(crate) async fn list(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        sort: Sort,
        limit: usize,
    ) -> Result<(Generation, Vec<(i64, String)>), StoreError> {
        let columns: Vec<_> = needed(&conditions, Some(sort)).collect();
        let query =
            |table: &str| def.page_query(Dialect::Postgres, table, &conditions, sort, limit);
        let (generation, rows) = self.ask_live(def, &columns, query).await?;
        let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok((generation, rows))
    }

    pub(crate) async fn count(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
    ) -> Result<u64, StoreError> {
        let columns: Vec<_> = needed(&conditions, None).collect();
        let query = |table: &str| def.count_query(Dialect::Postgres, table, &conditions);
        let (_, rows) = self.ask_live(def, &columns, query).await?;
        let count = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn tally(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        column: &'static str,
    ) -> Result<Tally, StoreError> {
        let columns: Vec<_> = needed(&conditions, None).chain([column]).collect();
        let query = |table: &str| def.tally_query(Dialect::Postgres, table, &conditions, column);
        let (generation, rows) = self.ask_live(def, &columns, query).await?;
        let counts = rows.iter();
        let counts = counts.map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs()));
        Ok((generation, counts.collect()))
    }

    pub(crate) async fn get(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<(Generation, Option<String>), StoreError> {
        let query = |table: &str| {
            let sql = format!("SELECT CAST(doc AS text) FROM {table} WHERE key = $1");
            (sql, vec![Param::Key(key)])
        };
        let (generation, rows) = self.ask_live(def, &[], query).await?;
        Ok((generation, rows.first().map(|row| row.get(0))))
    }

    /// Asks the table that the pointer leads to, if it has these columns. The rows are read after the pointer,
    /// so they are at least as young as its position. A table that was dropped in between was replaced before.
    async fn ask_live(
        &self,
        def: &'static TableDef,
        columns: &[&'static str],
        query: impl Fn(&str) -> (String, Vec<Param>),
    ) -> Result<(Generation, Vec<Row>), StoreError> {
        let client = self.pool.get().await?;
        let mut looks = 0;
        loop {
            looks += 1;
            let live = tables::live(&client, def).await?;
            let live = live.ok_or(StoreError::NoTable { view: def.view })?;
            if live.version != def.version {
                require(&client, def, &live, columns).await?;
            }
            match ask(&client, query(&def.table(live.number))).await {
                Ok(rows) => return Ok((live, rows)),
                Err(error)
                    if error.code() == Some(&SqlState::UNDEFINED_TABLE) && looks < LOOKS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn ask(
    client: &Object,
    (sql, values): (String, Vec<Param>),
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = client.prepare_cached(&sql).await?;
    let params: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    client.query(&statement, &params).await
}

/// A table of another version of the view may lack columns that are asked for.
async fn require(
    client: &Object,
    def: &'static TableDef,
    live: &Generation,
    columns: &[&'static str],
) -> Result<(), StoreError> {
    let sql = "SELECT attname::text FROM pg_attribute
               WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    let known = client.query(sql, &[&def.table(live.number)]).await?;
    let known: Vec<String> = known.iter().map(|row| row.get(0)).collect();
    def.require(&known, columns.iter().copied())
}
