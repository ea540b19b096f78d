//! Comparing two tables at one moment.

use std::borrow::Cow;

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use rusqlite::{Connection, Row};
use tokio::task::spawn_blocking;

use super::{SqliteViews, tables};
use crate::error::StoreError;
use crate::table::{TableDef, Value};
use crate::verify::{Pair, ParkedSide, Side, Tally};

/// All tables as they were when it was taken: a connection of its own in a transaction.
pub(crate) struct Snapshot {
    connection: Connection,
}

impl SqliteViews {
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let dir = self.dir.clone();
        let take = move || {
            let connection = tables::connect(&dir).map_err(|_| StoreError::WriterGone)?;
            // The first look is what takes it.
            connection.execute_batch("BEGIN; SELECT count(*) FROM projection_pointers")?;
            Ok(Snapshot { connection })
        };
        spawn_blocking(take)
            .await
            .map_err(|_| StoreError::WriterGone)?
    }
}

impl Snapshot {
    pub(crate) async fn compare(
        self,
        def: &'static TableDef,
        generations: [i64; 2],
        tally: Tally,
    ) -> Result<(Tally, [u64; 2]), StoreError> {
        spawn_blocking(move || self.compare_here(def, generations, tally))
            .await
            .map_err(|_| StoreError::WriterGone)?
    }

    fn compare_here(
        &self,
        def: &'static TableDef,
        generations: [i64; 2],
        mut tally: Tally,
    ) -> Result<(Tally, [u64; 2]), StoreError> {
        let both = generations.map(|generation| def.table(generation));
        let mut statement = self.connection.prepare(&def.parked_query(generations))?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (events, since) = (row.get(2)?, row.get(3)?);
            let rebuilt = row.get::<_, i64>(0)? == generations[1];
            tally.park(rebuilt, tables::uuid(row, 1)?, ParkedSide { events, since });
        }
        let counts = TableDef::counts_query(&both);
        let rows: [i64; 2] = self
            .connection
            .query_row(&counts, [], |row| Ok([row.get(0)?, row.get(1)?]))?;
        let sql = TableDef::compare_query(&both, tally.columns());
        let mut statement = self.connection.prepare(&sql)?;
        let width = statement.column_count();
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            tally.take(&pair(row, width)?);
        }
        Ok((tally, rows.map(i64::unsigned_abs)))
    }
}

fn pair(row: &Row<'_>, width: usize) -> rusqlite::Result<Pair> {
    let [old, new] = [0, 1].map(|side| -> rusqlite::Result<_> {
        if row.get_ref(side)? == ValueRef::Null {
            return Ok(None);
        }
        let columns = (4..width).skip(side).step_by(2).map(|at| row.get(at));
        let doc = Side {
            columns: columns.collect::<Result<_, _>>()?,
            doc: String::from_utf8_lossy(row.get_ref(side + 2)?.as_bytes()?).into_owned(),
        };
        Ok(Some((tables::uuid(row, side)?, doc)))
    });
    let (old, new) = (old?, new?);
    let key = old.as_ref().or(new.as_ref()).map(|(key, _)| *key);
    Ok(Pair {
        key: key.unwrap_or_default(),
        old: old.map(|(_, side)| side),
        new: new.map(|(_, side)| side),
    })
}

impl FromSql for Value<'static> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Integer(int) => Self::Int(Some(int)),
            ValueRef::Null => Self::Text(None),
            other => Self::Text(Some(Cow::Owned(other.as_str()?.to_owned()))),
        })
    }
}
