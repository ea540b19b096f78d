//! The statements on `views.db`, each for use inside a transaction.

use std::path::Path;
use std::thread;
use std::time::Duration;

use chrono::DateTime;
use eventstore::{Checkpoint, Position};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, ToSql, params};
use uuid::Uuid;

use super::parked;
use crate::error::{OpenError, StoreError};
use crate::fold::StoredRow;
use crate::parking::BUILD;
use crate::store::{Committed, Generation, PageCommit};
use crate::table::{Dialect, Param, TableDef, Value};

const FILE: &str = "views.db";

/// How long a statement waits for a lock that another process (`doctor`, a backup) holds.
const BUSY: Duration = Duration::from_secs(5);

/// The moment, in milliseconds.
pub(super) const NOW_MS: &str = "CAST(unixepoch('subsec') * 1000 AS integer)";

/// Pages of the write-ahead log that are moved into the file at once. Fewer than usual (1,000): the disk
/// then flushes less at a time, and the log's own commits do not wait for it as long.
const CHECKPOINT_PAGES: u32 = 200;

/// Steps of a statement, most of them far below a microsecond, after which the thread that writes lets others
/// have its core. A system may leave the log's writer waiting behind it for milliseconds, even where
/// another core is free.
const STEPS_AT_ONCE: i32 = 1_000;

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
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    };
    open().map_err(|source| OpenError::Open {
        path: path.clone(),
        source,
    })
}

/// The connection that writes. Whatever it does, a page of the live view or an index of a new one, stands back
/// behind what waits for its core.
pub(super) fn connect_writer(dir: &Path) -> Result<Connection, OpenError> {
    let connection = connect(dir)?;
    let go_on = || {
        thread::yield_now();
        false
    };
    connection
        .progress_handler(STEPS_AT_ONCE, Some(go_on))
        .map_err(|source| OpenError::Open {
            path: dir.join(FILE),
            source,
        })?;
    Ok(connection)
}

/// A connection that changes nothing; `None` if there is no file.
pub(super) fn look(dir: &Path) -> Result<Option<Connection>, OpenError> {
    let path = dir.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let open = || {
        let only_read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, only_read)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    open().map(Some).map_err(|source| OpenError::Open {
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

/// The table that the pointer leads to.
pub(super) fn live(
    connection: &Connection,
    def: &TableDef,
) -> Result<Option<Generation>, StoreError> {
    let sql = format!(
        "SELECT g.generation, g.version, g.position, g.event_id, g.recorded_at, g.stopped,
                g.rebuild_wanted, {NOW_MS} - g.moved_at, g.build, g.heeded, g.releases
         FROM projection_pointers p JOIN projection_generations g USING (view, generation)
         WHERE view = ?1"
    );
    generation(connection, def, &sql)
}

/// The table that a rebuild works on or has left behind.
pub(super) fn building(
    connection: &Connection,
    def: &TableDef,
) -> Result<Option<Generation>, StoreError> {
    let sql = format!(
        "SELECT generation, version, position, event_id, recorded_at, stopped,
                rebuild_wanted, {NOW_MS} - moved_at, build, heeded, releases
         FROM projection_generations WHERE view = ?1 AND state = 'building'
         ORDER BY waits DESC, generation DESC LIMIT 1"
    );
    generation(connection, def, &sql)
}

fn generation(
    connection: &Connection,
    def: &TableDef,
    sql: &str,
) -> Result<Option<Generation>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
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
            rebuild_wanted: row.get(6)?,
            idle: row
                .get::<_, Option<i64>>(7)?
                .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
            build: row.get(8)?,
            heeded: row.get::<_, Option<i64>>(9)?.map(Position),
            releases: row.get(10)?,
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
    let first = insert_generation(connection, def, 1, "live", Position::ZERO)?;
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
pub(super) fn create(
    connection: &Connection,
    def: &TableDef,
    heeded: Position,
) -> Result<Generation, StoreError> {
    let number = connection.query_row(
        "UPDATE projection_pointers SET last = last + 1 WHERE view = ?1 RETURNING last",
        [def.view],
        |row| row.get(0),
    )?;
    insert_generation(connection, def, number, "building", heeded)
}

fn insert_generation(
    connection: &Connection,
    def: &TableDef,
    number: i64,
    state: &str,
    heeded: Position,
) -> Result<Generation, StoreError> {
    connection.execute(
        "INSERT INTO projection_generations (view, generation, version, state, position, event_id, build, heeded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            def.view,
            number,
            def.version,
            state,
            Checkpoint::START.position.0,
            Checkpoint::START.event_id.as_bytes().as_slice(),
            BUILD,
            heeded.0
        ],
    )?;
    connection.execute_batch(&def.create_ddl(Dialect::Sqlite, &def.table(number)))?;
    Ok(Generation {
        number,
        version: def.version,
        checkpoint: Checkpoint::START,
        recorded_at: None,
        stopped: None,
        rebuild_wanted: None,
        idle: None,
        build: Some(BUILD.to_owned()),
        heeded: Some(heeded),
        releases: 0,
    })
}

/// Moves the checkpoint; `false` if it was not where the page began, or the table is not in use any more.
fn advance(connection: &Connection, def: &TableDef, page: &PageCommit) -> Result<bool, StoreError> {
    let sql = format!(
        "UPDATE projection_generations SET position = ?3, event_id = ?4, recorded_at = ?5,
                moved_at = {NOW_MS}, rebuild_wanted = coalesce(?8, rebuild_wanted),
                releases = releases + ?9
         WHERE view = ?1 AND generation = ?2 AND position = ?6 AND event_id = ?7 AND state <> 'retired'"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let moved = statement.execute(params![
        def.view,
        page.generation,
        page.to.position.0,
        page.to.event_id.as_bytes().as_slice(),
        page.recorded_at.timestamp_millis(),
        page.from.position.0,
        page.from.event_id.as_bytes().as_slice(),
        page.rebuild_wanted,
        i64::from(!page.released.is_empty()),
    ])?;
    Ok(moved == 1)
}

/// Stores a page: checkpoint by compare-and-set, rows, and what is parked and released.
pub(super) fn store(
    connection: &Connection,
    def: &TableDef,
    page: &PageCommit,
) -> Result<Committed, StoreError> {
    // Looked at before anything is written: only an error takes back what a job wrote.
    if !parked::are_there(connection, def, page)? || !advance(connection, def, page)? {
        return Ok(Committed::Fenced);
    }
    let table = def.table(page.generation);
    let upsert = def.upsert(Dialect::Sqlite, &table);
    write(connection, &upsert, &page.changes.written)?;
    delete(connection, &table, &page.changes.deleted)?;
    parked::release(connection, def, page)?;
    parked::park(connection, def, page)?;
    Ok(Committed::Yes)
}

pub(super) fn write(
    connection: &Connection,
    sql: &str,
    rows: &[StoredRow],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        let key = row.key.as_bytes().as_slice();
        let mut values: Vec<&dyn ToSql> = vec![&key, &row.seq, &row.position];
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

/// Drops tables that are not in use; returns how many.
pub(super) fn drop_where(
    connection: &Connection,
    def: &TableDef,
    condition: &str,
) -> Result<usize, StoreError> {
    let sql = format!(
        "DELETE FROM projection_generations WHERE view = ?1 AND {condition} RETURNING generation"
    );
    let dropped = connection
        .prepare(&sql)?
        .query_map([def.view], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    for generation in &dropped {
        connection.execute_batch(&format!("DROP TABLE {}", def.table(*generation)))?;
    }
    Ok(dropped.len())
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
            Self::Key(key) => Ok(key.as_bytes().as_slice().into()),
            Self::Text(text) => text.to_sql(),
            Self::Int(int) => int.to_sql(),
        }
    }
}
