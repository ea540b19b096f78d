//! The statements on the catalogue of tables, each for use inside a transaction.

use std::time::Duration;

use chrono::DateTime;
use deadpool_postgres::GenericClient;
use eventstore::{Checkpoint, Position};

use crate::error::StoreError;
use crate::parking::BUILD;
use crate::store::{Generation, PageCommit};
use crate::table::{Dialect, TableDef};

/// The moment, in milliseconds.
pub(super) const NOW_MS: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// The table that the pointer leads to.
pub(super) async fn live(
    client: &impl GenericClient,
    def: &TableDef,
) -> Result<Option<Generation>, StoreError> {
    let sql = format!(
        "SELECT g.generation, g.version, g.position, g.event_id, g.recorded_at, g.stopped,
                g.rebuild_wanted, {NOW_MS} - g.moved_at, g.build, g.heeded, g.releases
         FROM projection_pointers p JOIN projection_generations g USING (view, generation)
         WHERE view = $1"
    );
    generation(client, def, &sql).await
}

/// The table that a rebuild works on or has left behind.
pub(super) async fn building(
    client: &impl GenericClient,
    def: &TableDef,
) -> Result<Option<Generation>, StoreError> {
    let sql = format!(
        "SELECT generation, version, position, event_id, recorded_at, stopped,
                rebuild_wanted, {NOW_MS} - moved_at, build, heeded, releases
         FROM projection_generations WHERE view = $1 AND state = 'building'
         ORDER BY waits DESC, generation DESC LIMIT 1"
    );
    generation(client, def, &sql).await
}

async fn generation(
    client: &impl GenericClient,
    def: &TableDef,
    sql: &str,
) -> Result<Option<Generation>, StoreError> {
    let statement = client.prepare_cached(sql).await?;
    let found = client.query_opt(&statement, &[&def.view]).await?;
    Ok(found.map(|row| Generation {
        number: row.get(0),
        version: row.get(1),
        checkpoint: Checkpoint {
            position: Position(row.get(2)),
            event_id: row.get(3),
        },
        recorded_at: row
            .get::<_, Option<i64>>(4)
            .and_then(DateTime::from_timestamp_millis),
        stopped: row.get(5),
        rebuild_wanted: row.get(6),
        idle: row
            .get::<_, Option<i64>>(7)
            .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
        build: row.get(8),
        heeded: row.get::<_, Option<i64>>(9).map(Position),
        releases: row.get(10),
    }))
}

/// Makes the first table of a view and points to it.
pub(super) async fn create_first(
    client: &impl GenericClient,
    def: &TableDef,
) -> Result<(), StoreError> {
    if live(client, def).await?.is_some() {
        return Ok(());
    }
    let first = insert_generation(client, def, 1, "live", Position::ZERO).await?;
    client
        .execute(
            "INSERT INTO projection_pointers (view, generation, last) VALUES ($1, 1, 1)",
            &[&def.view],
        )
        .await?;
    let table = def.table(first.number);
    client.batch_execute(&TableDef::key_ddl(&table)).await?;
    let indexes = def.index_ddl(Dialect::Postgres, &table).join(";\n");
    Ok(client.batch_execute(&indexes).await?)
}

/// Makes a table, without indexes, under a number that was never used.
pub(super) async fn create(
    client: &impl GenericClient,
    def: &TableDef,
    heeded: Position,
) -> Result<Generation, StoreError> {
    let next = "UPDATE projection_pointers SET last = last + 1 WHERE view = $1 RETURNING last";
    let number = client.query_one(next, &[&def.view]).await?.get(0);
    insert_generation(client, def, number, "building", heeded).await
}

async fn insert_generation(
    client: &impl GenericClient,
    def: &TableDef,
    number: i64,
    state: &str,
    heeded: Position,
) -> Result<Generation, StoreError> {
    let start = Checkpoint::START;
    client
        .execute(
            "INSERT INTO projection_generations (view, generation, version, state, position, event_id, build, heeded)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                &def.view,
                &number,
                &def.version,
                &state,
                &start.position.0,
                &start.event_id,
                &BUILD,
                &heeded.0,
            ],
        )
        .await?;
    let ddl = def.create_ddl(Dialect::Postgres, &def.table(number));
    client.batch_execute(&ddl).await?;
    Ok(Generation {
        number,
        version: def.version,
        checkpoint: start,
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
/// A second projector waits here for the first one's commit, and then finds the checkpoint moved.
pub(super) async fn advance(
    client: &impl GenericClient,
    def: &TableDef,
    page: &PageCommit,
) -> Result<bool, StoreError> {
    let sql = format!(
        "UPDATE projection_generations SET position = $3, event_id = $4, recorded_at = $5,
                moved_at = {NOW_MS}, rebuild_wanted = coalesce($8, rebuild_wanted),
                releases = releases + $9
         WHERE view = $1 AND generation = $2 AND position = $6 AND event_id = $7 AND state <> 'retired'"
    );
    let statement = client.prepare_cached(&sql).await?;
    let moved = client
        .execute(
            &statement,
            &[
                &def.view,
                &page.generation,
                &page.to.position.0,
                &page.to.event_id,
                &page.recorded_at.timestamp_millis(),
                &page.from.position.0,
                &page.from.event_id,
                &page.rebuild_wanted,
                &i64::from(!page.released.is_empty()),
            ],
        )
        .await?;
    Ok(moved == 1)
}

/// Points readers to another table and retires the one they used.
pub(super) async fn point_to(
    client: &impl GenericClient,
    def: &TableDef,
    generation: i64,
) -> Result<(), StoreError> {
    let retire = format!(
        "UPDATE projection_generations SET state = 'retired', retired_at = {NOW_MS}
         WHERE view = $1 AND state = 'live'"
    );
    client.execute(&retire, &[&def.view]).await?;
    let built = client
        .execute(
            "UPDATE projection_generations SET state = 'live'
             WHERE view = $1 AND generation = $2 AND state = 'building'",
            &[&def.view, &generation],
        )
        .await?;
    if built != 1 {
        return Err(StoreError::Replaced { view: def.view });
    }
    client
        .execute(
            "UPDATE projection_pointers SET generation = $2 WHERE view = $1",
            &[&def.view, &generation],
        )
        .await?;
    Ok(())
}

/// Drops tables that are not in use; returns how many.
pub(super) async fn drop_where(
    client: &impl GenericClient,
    def: &TableDef,
    condition: &str,
) -> Result<usize, StoreError> {
    let sql = format!(
        "DELETE FROM projection_generations WHERE view = $1 AND {condition} RETURNING generation"
    );
    let dropped = client.query(&sql, &[&def.view]).await?;
    for row in &dropped {
        let table = def.table(row.get(0));
        client
            .batch_execute(&format!("DROP TABLE IF EXISTS {table}"))
            .await?;
    }
    Ok(dropped.len())
}
