//! Comparing two tables at one moment.

use std::borrow::Cow;
use std::error::Error;

use deadpool_postgres::Object;
use futures_util::TryStreamExt as _;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use super::PostgresViews;
use crate::error::StoreError;
use crate::table::{TableDef, Value};
use crate::verify::{Pair, ParkedSide, Side, Tally};

/// All tables as they were when it was taken. Dropping it closes its connection.
pub(crate) struct Snapshot {
    connection: Option<Object>,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

impl PostgresViews {
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let connection = self.pool.get().await?;
        // The second statement is what takes it. How long a comparison takes depends on the tables.
        connection
            .batch_execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1;
                 SET LOCAL statement_timeout = 0",
            )
            .await?;
        Ok(Snapshot {
            connection: Some(connection),
        })
    }
}

impl Snapshot {
    pub(crate) async fn compare(
        self,
        def: &'static TableDef,
        generations: [i64; 2],
        mut tally: Tally,
    ) -> Result<(Tally, [u64; 2]), StoreError> {
        let connection = self.connection.as_ref().ok_or(StoreError::WriterGone)?;
        let tables = generations.map(|generation| def.table(generation));
        for row in connection
            .query(&def.parked_query(generations), &[])
            .await?
        {
            let (events, since) = (row.get(2), row.get(3));
            let rebuilt = row.get::<_, i64>(0) == generations[1];
            tally.park(rebuilt, row.get(1), ParkedSide { events, since });
        }
        let counts = connection
            .query_one(&TableDef::counts_query(&tables), &[])
            .await?;
        let rows = [0, 1].map(|at| counts.get::<_, i64>(at).unsigned_abs());
        let sql = TableDef::compare_query(&tables, tally.columns());
        let none: [&(dyn ToSql + Sync); 0] = [];
        let mut found = std::pin::pin!(connection.query_raw(&sql, none).await?);
        while let Some(row) = found.try_next().await? {
            tally.take(&pair(&row)?);
        }
        Ok((tally, rows))
    }
}

fn pair(row: &Row) -> Result<Pair, tokio_postgres::Error> {
    let [old, new] = [0, 1].map(|side| -> Result<_, tokio_postgres::Error> {
        let Some(key) = row.try_get(side)? else {
            return Ok(None);
        };
        let columns = (4..row.len()).skip(side).step_by(2);
        let columns = columns.map(|at| row.try_get::<_, Option<Value<'static>>>(at));
        let columns = columns.map(|value| value.map(|value| value.unwrap_or(Value::Text(None))));
        let side = Side {
            columns: columns.collect::<Result<_, _>>()?,
            doc: row.try_get(side + 2)?,
        };
        Ok(Some((key, side)))
    });
    let (old, new) = (old?, new?);
    let key = old.as_ref().or(new.as_ref()).map(|(key, _)| *key);
    Ok(Pair {
        key: key.unwrap_or_default(),
        old: old.map(|(_, side)| side),
        new: new.map(|(_, side)| side),
    })
}

impl FromSql<'_> for Value<'static> {
    fn from_sql(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Int(Some(i64::from_sql(ty, raw)?)),
            _ => Self::Text(Some(Cow::Owned(String::from_sql(ty, raw)?))),
        })
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT || *ty == Type::INT8
    }
}
