//! Bringing the database to the schema of this build, and telling which one it has.

use std::time::Duration;

use eventstore::{Location, MigrationReport, Schema};
use tokio_postgres::Client;

use super::{LOCKS, PostgresViews, connect};
use crate::error::OpenError;
use crate::schema;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// The lock of a migration.
const MIGRATION: &str = "migration";

/// How long a migration waits for its turn and for locks on tables.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

impl PostgresViews {
    pub(crate) async fn migrate(location: &Location) -> Result<MigrationReport, OpenError> {
        let mut client = connect::one(&connect::config(location)?).await?;
        // Refinery does not lock. The lock goes with the connection.
        let turn = format!(
            "SET lock_timeout = {}; SELECT pg_advisory_lock({LOCKS}, hashtext('{MIGRATION}'))",
            LOCK_TIMEOUT.as_millis()
        );
        client
            .batch_execute(&turn)
            .await
            .map_err(|error| OpenError::Connect(Box::new(error)))?;
        schema::check_generation(read(&client).await?)?;
        let mut runner = embedded::migrations::runner().set_abort_missing(false);
        runner.set_migration_table_name(schema::HISTORY_TABLE);
        let report = runner
            .run_async(&mut client)
            .await
            .map_err(|error| OpenError::Migrate(Box::new(error)))?;
        Ok(schema::report(&report, read(&client).await?))
    }

    /// What the database says of the views' tables.
    pub(crate) async fn schema(location: &Location) -> Result<Schema, OpenError> {
        read(&connect::one(&connect::config(location)?).await?).await
    }
}

pub(super) async fn read(client: &Client) -> Result<Schema, OpenError> {
    let number = async |table: &str, sql: String| {
        let known = "SELECT to_regclass($1) IS NOT NULL";
        if client.query_one(known, &[&table]).await?.get(0) {
            Ok(client.query_one(&sql, &[]).await?.get(0))
        } else {
            Ok(0)
        }
    };
    let unreadable = |error: tokio_postgres::Error| OpenError::Schema(error.into());
    Ok(Schema {
        version: number(schema::HISTORY_TABLE, schema::last_migration())
            .await
            .map_err(unreadable)?,
        oldest_binary: number(schema::SCHEMA_TABLE, schema::oldest_binary())
            .await
            .map_err(unreadable)?,
        ..schema::NONE
    })
}
