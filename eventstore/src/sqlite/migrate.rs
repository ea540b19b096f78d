//! Bringing the database file to the schema of this build.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::{DATABASE_FILE, blocking, connection, fault, lock};
use crate::error::OpenError;
use crate::options::MigrationReport;
use crate::schema;

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

pub(crate) async fn migrate(dir: &Path) -> Result<MigrationReport, OpenError> {
    let dir = dir.to_owned();
    blocking(move || run(&dir)).await
}

fn run(dir: &Path) -> Result<MigrationReport, OpenError> {
    let _turn = lock::migration(dir)?;
    let mut connection = connection::write(&dir.join(DATABASE_FILE), None)?;
    if table_exists(&connection, "log_schema")? {
        // An older build has nothing to add to a newer schema, and must not try where it is no longer allowed.
        check_generation(&connection)?;
    }
    let mut runner = embedded::migrations::runner().set_abort_missing(false);
    runner.set_migration_table_name(schema::HISTORY_TABLE);
    let report = runner
        .run(&mut connection)
        .map_err(|e| OpenError::Migration(e.to_string()))?;
    Ok(schema::report(&report, applied(&connection)?))
}

/// Refuses a database that this build cannot work with.
pub(super) fn check(connection: &Connection) -> Result<(), OpenError> {
    let applied = applied(connection)?;
    let oldest_binary = if applied > 0 {
        oldest_binary(connection)?
    } else {
        0
    };
    schema::check(applied, oldest_binary)
}

fn check_generation(connection: &Connection) -> Result<(), OpenError> {
    schema::check(schema::SCHEMA_NEEDED, oldest_binary(connection)?)
}

pub(super) fn applied(connection: &Connection) -> Result<i32, OpenError> {
    if !table_exists(connection, schema::HISTORY_TABLE)? {
        return Ok(0);
    }
    let last = format!(
        "SELECT coalesce(max(version), 0) FROM {}",
        schema::HISTORY_TABLE
    );
    connection
        .query_row(&last, [], |row| row.get(0))
        .map_err(|e| fault::opening(&e))
}

fn oldest_binary(connection: &Connection) -> Result<i32, OpenError> {
    connection
        .query_row("SELECT oldest_binary FROM log_schema", [], |row| row.get(0))
        .map_err(|e| fault::opening(&e))
}

fn table_exists(connection: &Connection, name: &str) -> Result<bool, OpenError> {
    connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
            [name],
            |_| Ok(()),
        )
        .optional()
        .map(|found| found.is_some())
        .map_err(|e| fault::opening(&e))
}
