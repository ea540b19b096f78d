//! Bringing the database to the schema of this build.

use std::time::Duration;

use secrecy::SecretString;
use tokio_postgres::Client;

use super::connect::Target;
use super::fault;
use crate::error::OpenError;
use crate::options::MigrationReport;
use crate::schema;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// Names the lock that makes migrating processes take turns; the bytes of "eventsto".
const TURN: i64 = i64::from_be_bytes(*b"eventsto");
/// How long a migration waits for its turn and for locks on tables.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn migrate(url: &SecretString) -> Result<MigrationReport, OpenError> {
    let mut link = Target::parse(url)?.connect().await?;
    // refinery does not lock. The lock belongs to this connection, so it ends with it, whatever happens.
    let turn = format!(
        "SET lock_timeout = {}; SELECT pg_advisory_lock({TURN})",
        LOCK_TIMEOUT.as_millis()
    );
    link.client
        .batch_execute(&turn)
        .await
        .map_err(|e| fault::opening(&e))?;
    if table_exists(&link.client, "log_schema").await? {
        // An older build has nothing to add to a newer schema, and must not try where it is no longer allowed.
        schema::check(schema::SCHEMA_NEEDED, oldest_binary(&link.client).await?)?;
    }
    let mut runner = embedded::migrations::runner().set_abort_missing(false);
    runner.set_migration_table_name(schema::HISTORY_TABLE);
    let report = runner
        .run_async(&mut link.client)
        .await
        .map_err(|e| OpenError::Migration(describe(&e)))?;
    Ok(schema::report(&report, applied(&link.client).await?))
}

/// Refuses a database that this build cannot work with.
pub(super) async fn check(client: &Client) -> Result<(), OpenError> {
    let applied = applied(client).await?;
    let oldest_binary = if applied > 0 {
        oldest_binary(client).await?
    } else {
        0
    };
    schema::check(applied, oldest_binary)
}

pub(super) async fn applied(client: &Client) -> Result<i32, OpenError> {
    if !table_exists(client, schema::HISTORY_TABLE).await? {
        return Ok(0);
    }
    let last = format!(
        "SELECT coalesce(max(version), 0) FROM {}",
        schema::HISTORY_TABLE
    );
    Ok(client
        .query_one(&last, &[])
        .await
        .map_err(|e| fault::opening(&e))?
        .get(0))
}

async fn oldest_binary(client: &Client) -> Result<i32, OpenError> {
    let row = client
        .query_one("SELECT oldest_binary FROM log_schema", &[])
        .await
        .map_err(|e| fault::opening(&e))?;
    Ok(row.get(0))
}

async fn table_exists(client: &Client, name: &str) -> Result<bool, OpenError> {
    let row = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&name])
        .await
        .map_err(|e| fault::opening(&e))?;
    Ok(row.get(0))
}

fn describe(error: &refinery::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
