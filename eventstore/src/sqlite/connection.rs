//! Connections and their settings.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault;
use crate::error::OpenError;

/// How long a statement waits for a lock of another process, such as a migration or a tool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements kept prepared on one connection: all of ours.
const STATEMENTS: usize = 32;

/// The writer's connection. Every commit is on disk before it returns.
pub(super) fn write(path: &Path, max_page_count: Option<u32>) -> Result<Connection, OpenError> {
    let connection = open(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    let opening = |e: rusqlite::Error| fault::opening(&e);
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(opening)?;
    if mode != "wal" {
        return Err(OpenError::NotDurable {
            setting: "journal_mode",
            value: mode,
        });
    }
    // `secure_delete` overwrites deleted rows: an erased key must not linger in a free page.
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")
        .map_err(opening)?;
    if let Some(pages) = max_page_count {
        limit_pages(&connection, pages).map_err(opening)?;
    }
    Ok(connection)
}

pub(super) fn limit_pages(connection: &Connection, pages: u32) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

/// A connection that only reads. It never makes the file.
pub(super) fn read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    configure(&connection)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .and_then(|connection| configure(&connection).map(|()| connection))
        .map_err(|e| fault::opening(&e))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}
