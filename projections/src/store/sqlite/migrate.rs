//! Bringing `views.db` to the schema of this build, and telling which one it has.

use std::path::Path;

use eventstore::{MigrationReport, Schema};
use rusqlite::Connection;

use super::{SqliteViews, lock, tables};
use crate::error::OpenError;
use crate::schema;

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

impl SqliteViews {
    pub(crate) fn migrate(dir: &Path) -> Result<MigrationReport, OpenError> {
        let _turn = lock::migration(dir)?;
        let mut connection = tables::connect(dir)?;
        schema::check_generation(read(&connection)?)?;
        let mut runner = embedded::migrations::runner().set_abort_missing(false);
        runner.set_migration_table_name(schema::HISTORY_TABLE);
        let report = runner
            .run(&mut connection)
            .map_err(|error| OpenError::Migrate(Box::new(error)))?;
        Ok(schema::report(&report, read(&connection)?))
    }

    /// What the file says of itself; one that is not there is as good as empty.
    pub(crate) fn schema(dir: &Path) -> Result<Schema, OpenError> {
        tables::look(dir)?.map_or(Ok(schema::NONE), |connection| read(&connection))
    }
}

pub(super) fn read(connection: &Connection) -> Result<Schema, OpenError> {
    let unreadable = |error: rusqlite::Error| OpenError::Schema(error.into());
    let number = |table: &str, sql: String| {
        let known = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        match connection.query_row(known, [table], |row| row.get(0))? {
            0 => Ok(0),
            _ => connection.query_row(&sql, [], |row| row.get(0)),
        }
    };
    Ok(Schema {
        version: number(schema::HISTORY_TABLE, schema::last_migration()).map_err(unreadable)?,
        oldest_binary: number(schema::SCHEMA_TABLE, schema::oldest_binary()).map_err(unreadable)?,
        ..schema::NONE
    })
}
