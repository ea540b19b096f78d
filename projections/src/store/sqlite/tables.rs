//! The statements on `views.db`, each for use inside a transaction.

use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use eventstore::{Checkpoint, Position};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use uuid::Uuid;

use crate::error::{OpenError, StoreError};
use crate::fold::StoredRow;
use crate::store::{Generation, PageCommit};
use crate::table::{Dialect, Param, TableDef, Value};

const FILE: &str = "views.db";

/// How long a statement waits for a lock that another process (`doctor`, a backup) holds.
const BUSY: Duration = Duration::from_secs(5);

/// The moment, in milliseconds.
pub(super) const NOW_MS: &str = "CAST(unixepoch('subsec') * 1000 AS integer)";

/// Statements kept prepared per connection: every query of every view.
const STATEMENTS: usize = 64;

/// A connection. Views may lose their last commits with the machine, rows and checkpoint alike; the log
/// is where nothing is lost. So a commit does not wait for the disk.
pub(super) fn connect(dir: &Path) -> Result<Connection, OpenError> {
    let path = dir.join(FILE);
    let open = || {
        let connection = Connection::open(&path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    };
    open().map_err(|source| OpenError::Open {
        path: path.clone(),
        source,
    })
}

pub(super) fn uuid(row: &Row<'_>, at: usize) -> rusqlite::Result<Uuid> {
    let bytes = row.get_ref(at)?.as_blob()?;
    Uuid::from_slice(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Blob, Box::new(error))
    })
}

pub(super) fn live(
    connection: &Connection,
    def: &TableDef,
) -> Result<Option<Generation>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT g.generation, g.version, g.position, g.event_id, g.recorded_at, g.stopped
         FROM projection_pointers p JOIN projection_generations g USING (view, generation)
         WHERE view = ?1",
    )?;
    let generation = statement.query_row([def.view], |row| {
        Ok(Generation {
            number: row.get(0)?,
            version: row.get(1)?,
            checkpoint: Checkpoint {
                position: Position(row.get(2)?),
                event_id: uuid(row, 3)?,
            },
            recorded_at: row
                .get::<_, Option<i64>>(4)?
                .and_then(DateTime::from_timestamp_millis),
            stopped: row.get(5)?,
        })
    });
    Ok(generation.optional()?)
}

pub(super) fn known_live(
    connection: &Connection,
    def: &TableDef,
) -> Result<Generation, StoreError> {
    live(connection, def)?.ok_or(StoreError::NoTable { view: def.view })
}

/// Makes the first table of a view and points to it.
pub(super) fn create_first(connection: &Connection, def: &TableDef) -> Result<(), StoreError> {
    if live(connection, def)?.is_some() {
        return Ok(());
    }
    let first = insert_generation(connection, def, 1, "live")?;
    connection.execute(
        "INSERT INTO projection_pointers (view, generation, last) VALUES (?1, 1, 1)",
        [def.view],
    )?;
    let table = def.table(first.number);
    connection.execute_batch(&TableDef::key_ddl(&table))?;
    connection.execute_batch(&def.index_ddl(Dialect::Sqlite, &table).join(";\n"))?;
    Ok(())
}

/// Makes a table, without indexes, under a number that was never used.
pub(super) fn create(connection: &Connection, def: &TableDef) -> Result<Generation, StoreError> {
    let number = connection.query_row(
        "UPDATE projection_pointers SET last = last + 1 WHERE view = ?1 RETURNING last",
        [def.view],
        |row| row.get(0),
    )?;
    insert_generation(connection, def, number, "building")
}

fn insert_generation(
    connection: &Connection,
    def: &TableDef,
    number: i64,
    state: &str,
) -> Result<Generation, StoreError> {
    connection.execute(
        "INSERT INTO projection_generations (view, generation, version, state, position, event_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            def.view,
            number,
            def.version,
            state,
            Checkpoint::START.position.0,
            Checkpoint::START.event_id.as_bytes().as_slice()
        ],
    )?;
    connection.execute_batch(&def.create_ddl(Dialect::Sqlite, &def.table(number)))?;
    Ok(Generation {
        number,
        version: def.version,
        checkpoint: Checkpoint::START,
        recorded_at: None,
        stopped: None,
    })
}

/// Moves the checkpoint; `false` if it was not where the page began, or the table is not in use any more.
pub(super) fn advance(
    connection: &Connection,
    def: &TableDef,
    page: &PageCommit,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE projection_generations SET position = ?3, event_id = ?4, recorded_at = ?5
         WHERE view = ?1 AND generation = ?2 AND position = ?6 AND event_id = ?7 AND state <> 'retired'",
    )?;
    let moved = statement.execute(params![
        def.view,
        page.generation,
        page.to.position.0,
        page.to.event_id.as_bytes().as_slice(),
        page.recorded_at.timestamp_millis(),
        page.from.position.0,
        page.from.event_id.as_bytes().as_slice(),
    ])?;
    Ok(moved == 1)
}

pub(super) fn write(
    connection: &Connection,
    sql: &str,
    rows: &[StoredRow],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        let key = row.key.as_bytes().as_slice();
        let mut values: Vec<&dyn ToSql> = vec![&key, &row.seq];
        values.extend(row.columns.iter().map(|value| value as &dyn ToSql));
        values.push(&row.doc);
        statement.execute(values.as_slice())?;
    }
    Ok(())
}

pub(super) fn delete(
    connection: &Connection,
    table: &str,
    keys: &[Uuid],
) -> Result<(), StoreError> {
    for key in keys {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE key = ?1"))?
            .execute([key.as_bytes().as_slice()])?;
    }
    Ok(())
}

pub(super) fn park(
    connection: &Connection,
    def: &TableDef,
    page: &PageCommit,
) -> Result<(), StoreError> {
    for parked in &page.parked {
        connection
            .prepare_cached(
                "INSERT INTO projection_parked (view, generation, key, position, event_type, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                def.view,
                page.generation,
                parked.key.as_bytes().as_slice(),
                parked.position,
                parked.event_type,
                parked.reason,
            ])?;
    }
    Ok(())
}

/// Points readers to another table and retires the one they used.
pub(super) fn point_to(
    connection: &Connection,
    def: &TableDef,
    generation: i64,
) -> Result<(), StoreError> {
    connection.execute(
        &format!(
            "UPDATE projection_generations SET state = 'retired', retired_at = {NOW_MS}
             WHERE view = ?1 AND state = 'live'"
        ),
        [def.view],
    )?;
    let built = connection.execute(
        "UPDATE projection_generations SET state = 'live'
         WHERE view = ?1 AND generation = ?2 AND state = 'building'",
        params![def.view, generation],
    )?;
    if built != 1 {
        return Err(StoreError::Replaced { view: def.view });
    }
    connection.execute(
        "UPDATE projection_pointers SET generation = ?2 WHERE view = ?1",
        params![def.view, generation],
    )?;
    Ok(())
}

/// Drops tables that are not in use.
pub(super) fn drop_where(
    connection: &Connection,
    def: &TableDef,
    condition: &str,
) -> Result<(), StoreError> {
    let sql = format!(
        "DELETE FROM projection_generations WHERE view = ?1 AND {condition} RETURNING generation"
    );
    let dropped = connection
        .prepare(&sql)?
        .query_map([def.view], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    for generation in dropped {
        connection.execute_batch(&format!("DROP TABLE {}", def.table(generation)))?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => match text {
                Some(text) => Ok(text.as_ref().into()),
                None => Ok(rusqlite::types::Null.into()),
            },
            Self::Int(int) => int.to_sql(),
        }
    }
}

impl ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Int(int) => int.to_sql(),
        }
    }
}
