//! Rows of views on their way to Postgres: as arrays for an upsert, as a stream for `COPY`.

use std::error::Error;
use std::pin::pin;

use bytes::BytesMut;
use deadpool_postgres::GenericClient;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::error::StoreError;
use crate::fold::{Changes, StoredRow};
use crate::table::{Dialect, Kind, Param, TableDef, Value};

/// Rows in one upsert at most: their documents are in memory three times while it runs.
const UPSERT_ROWS: usize = 5_000;

/// Writes and deletes rows; the table has its key index.
pub(super) async fn change(
    client: &impl GenericClient,
    def: &TableDef,
    table: &str,
    changes: &Changes,
) -> Result<(), StoreError> {
    if !changes.written.is_empty() {
        let upsert = client
            .prepare_cached(&def.upsert(Dialect::Postgres, table))
            .await?;
        for rows in changes.written.chunks(UPSERT_ROWS) {
            let columns = arrays(def, rows);
            let params: Vec<&(dyn ToSql + Sync)> =
                columns.iter().map(|column| &**column as _).collect();
            client.execute(&upsert, &params).await?;
        }
    }
    if !changes.deleted.is_empty() {
        let sql = format!("DELETE FROM {table} WHERE key = ANY($1)");
        client.execute(&sql, &[&changes.deleted]).await?;
    }
    Ok(())
}

/// One array per column, in the order of [`TableDef::column_list`].
fn arrays<'a>(def: &TableDef, rows: &'a [StoredRow]) -> Vec<Box<dyn ToSql + Sync + Send + 'a>> {
    let keys: Vec<Uuid> = rows.iter().map(|row| row.key).collect();
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let positions: Vec<i64> = rows.iter().map(|row| row.position).collect();
    let docs: Vec<&str> = rows.iter().map(|row| row.doc.as_str()).collect();
    let mut arrays: Vec<Box<dyn ToSql + Sync + Send + 'a>> =
        vec![Box::new(keys), Box::new(seqs), Box::new(positions)];
    for (at, column) in def.columns.iter().enumerate() {
        match column.kind {
            Kind::Text => arrays.push(Box::new(
                rows.iter()
                    .map(|row| row.columns[at].as_text())
                    .collect::<Vec<Option<&str>>>(),
            )),
            Kind::Int => arrays.push(Box::new(
                rows.iter()
                    .map(|row| row.columns[at].as_int())
                    .collect::<Vec<Option<i64>>>(),
            )),
        }
    }
    arrays.push(Box::new(docs));
    arrays
}

/// Streams new rows into a table.
pub(super) async fn copy(
    client: &tokio_postgres::Client,
    def: &TableDef,
    table: &str,
    rows: &[StoredRow],
) -> Result<(), StoreError> {
    let sql = format!("COPY {table} ({}) FROM STDIN BINARY", def.column_list());
    let sink = client.copy_in(&sql).await?;
    let mut types = vec![Type::UUID, Type::INT8, Type::INT8];
    types.extend(def.columns.iter().map(|column| match column.kind {
        Kind::Text => Type::TEXT,
        Kind::Int => Type::INT8,
    }));
    types.push(Type::JSON);
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for row in rows {
        let doc = Json(&row.doc);
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&row.key, &row.seq, &row.position];
        values.extend(row.columns.iter().map(|value| value as &(dyn ToSql + Sync)));
        values.push(&doc);
        writer.as_mut().write(&values).await?;
    }
    writer.finish().await?;
    Ok(())
}

/// JSON that is text already.
#[derive(Debug)]
struct Json<'a>(&'a str);

impl ToSql for Json<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }

    to_sql_checked!();
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Text(text) => text.to_sql(ty, out),
            Self::Int(int) => int.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT || *ty == Type::INT8
    }

    to_sql_checked!();
}

impl ToSql for Param {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Key(key) => key.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Int(int) => int.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID || *ty == Type::TEXT || *ty == Type::INT8
    }

    to_sql_checked!();
}
