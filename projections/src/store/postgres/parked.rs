//! What is parked, in Postgres.

use deadpool_postgres::GenericClient;
use eventstore::Position;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresViews;
use crate::error::StoreError;
use crate::parking::{BUILD, Cause, ParkedEvent, ParkedKey, ParkedRecord, Parking};
use crate::release::Released;
use crate::store::{ParkedAt, UnknownType};
use crate::table::TableDef;

impl PostgresViews {
    pub(crate) async fn parking(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Parking, StoreError> {
        // Without a cause it may be either.
        let sql = "SELECT key, bool_or(coalesce(cause, 'unknown') IN ('unknown', 'unreadable'))
                   FROM projection_parked WHERE view = $1 AND generation = $2 GROUP BY key";
        let client = self.pool.get().await?;
        let rows = client.query(sql, &[&def.view, &generation]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    pub(crate) async fn parked(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<(Vec<ParkedKey>, u64), StoreError> {
        let list = "WITH keys AS (SELECT key, min(position) AS position, count(*) AS events
                                  FROM projection_parked WHERE view = $1 AND generation = $2
                                  GROUP BY key ORDER BY 2 LIMIT $3)
                    SELECT position, event_type, cause, reason, build, key, events
                    FROM keys JOIN projection_parked USING (key, position)
                    WHERE view = $1 AND generation = $2 ORDER BY position, key";
        let count = "SELECT count(DISTINCT key) FROM projection_parked
                     WHERE view = $1 AND generation = $2";
        let client = self.pool.get().await?;
        let rows = client
            .query(list, &[&def.view, &generation, &most(limit)])
            .await?;
        let keys: i64 = client
            .query_one(count, &[&def.view, &generation])
            .await?
            .get(0);
        let listed = rows.iter().map(|row| ParkedKey {
            key: row.get(5),
            events: row.get::<_, i64>(6).unsigned_abs(),
            first: event(row),
        });
        Ok((listed.collect(), keys.unsigned_abs()))
    }

    pub(crate) async fn parked_since(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<Option<Position>, StoreError> {
        let client = self.pool.get().await?;
        let sql = "SELECT min(position) FROM projection_pointers
                   JOIN projection_parked USING (view, generation) WHERE view = $1 AND key = $2";
        let statement = client.prepare_cached(sql).await?;
        let first: Option<i64> = client
            .query_one(&statement, &[&def.view, &key])
            .await?
            .get(0);
        Ok(first.map(Position))
    }

    pub(crate) async fn parked_events(
        &self,
        def: &'static TableDef,
        generation: i64,
        key: Uuid,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        let sql = "SELECT position, event_type, cause, reason, build FROM projection_parked
                   WHERE view = $1 AND generation = $2 AND key = $3 ORDER BY position LIMIT $4";
        let client = self.pool.get().await?;
        let rows = client
            .query(sql, &[&def.view, &generation, &key, &most(limit)])
            .await?;
        Ok(rows.iter().map(event).collect())
    }

    pub(crate) async fn parked_of(
        &self,
        def: &'static TableDef,
        generation: i64,
        key: Uuid,
        limit: usize,
    ) -> Result<Vec<ParkedAt>, StoreError> {
        let sql = "SELECT position, coalesce(cause, 'unknown') IN ('unknown', 'unreadable')
                   FROM projection_parked
                   WHERE view = $1 AND generation = $2 AND key = $3 ORDER BY position LIMIT $4";
        let client = self.pool.get().await?;
        let rows = client
            .query(sql, &[&def.view, &generation, &key, &most(limit)])
            .await?;
        let at = |row: &Row| ParkedAt {
            position: Position(row.get(0)),
            breaks_stream: row.get(1),
        };
        Ok(rows.iter().map(at).collect())
    }

    pub(crate) async fn unknown_types(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Vec<UnknownType>, StoreError> {
        let sql = "SELECT DISTINCT event_type, schema_version FROM projection_parked
                   WHERE view = $1 AND generation = $2 AND cause = 'unknown' AND schema_version IS NOT NULL";
        let client = self.pool.get().await?;
        let rows = client.query(sql, &[&def.view, &generation]).await?;
        let unknown = |row: &Row| UnknownType {
            event_type: row.get(0),
            schema_version: row.get(1),
        };
        Ok(rows.iter().map(unknown).collect())
    }

    pub(crate) async fn keys_of_unknown(
        &self,
        def: &'static TableDef,
        generation: i64,
        of: UnknownType,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        let sql = "SELECT DISTINCT key FROM projection_parked
                   WHERE view = $1 AND generation = $2 AND cause = 'unknown'
                     AND event_type = $3 AND schema_version = $4 LIMIT $5";
        let client = self.pool.get().await?;
        let (event_type, version) = (&of.event_type, &of.schema_version);
        let rows = client
            .query(
                sql,
                &[&def.view, &generation, event_type, version, &most(limit)],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(crate) async fn keys_without_cause(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        let sql = "WITH firsts AS (SELECT key, min(position) AS position FROM projection_parked
                                   WHERE view = $1 AND generation = $2 GROUP BY key)
                   SELECT key FROM firsts JOIN projection_parked USING (key, position)
                   WHERE view = $1 AND generation = $2 AND cause = 'follows' LIMIT $3";
        let client = self.pool.get().await?;
        let rows = client
            .query(sql, &[&def.view, &generation, &most(limit)])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn event(row: &Row) -> ParkedEvent {
    ParkedEvent {
        position: Position(row.get(0)),
        event_type: row.get(1),
        cause: Cause::parse(row.get(2)),
        reason: row.get(3),
        build: row.get(4),
    }
}

pub(super) async fn park(
    client: &impl GenericClient,
    def: &TableDef,
    generation: i64,
    parked: &[ParkedRecord],
) -> Result<(), StoreError> {
    for event in parked {
        client
            .execute(
                "INSERT INTO projection_parked
                     (view, generation, key, position, event_type, reason, cause, schema_version, build)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                &[
                    &def.view,
                    &generation,
                    &event.key,
                    &event.position,
                    &event.event_type,
                    &event.refusal.reason,
                    &event.refusal.cause.as_str(),
                    &event.schema_version,
                    &BUILD,
                ],
            )
            .await?;
    }
    Ok(())
}

/// Strikes off what was taken or left out, and says what became of the next one; `false` if something else is parked
/// than was seen.
pub(super) async fn release(
    client: &impl GenericClient,
    def: &TableDef,
    generation: i64,
    released: &[Released],
) -> Result<bool, StoreError> {
    for released in released {
        let key = &released.key;
        let skipped = released.skipped.map(|skipped| skipped.0);
        let struck = client
            .execute(
                "DELETE FROM projection_parked WHERE view = $1 AND generation = $2 AND key = $3
                 AND (position < $4 OR position = $5)",
                &[&def.view, &generation, key, &released.before.0, &skipped],
            )
            .await?;
        if usize::try_from(struck) != Ok(released.struck) {
            return Ok(false);
        }
        let Some(stuck) = &released.stuck else {
            continue;
        };
        client
            .execute(
                "UPDATE projection_parked SET reason = $5, cause = $6, schema_version = $7, build = $8
                 WHERE view = $1 AND generation = $2 AND key = $3 AND position = $4",
                &[
                    &def.view,
                    &generation,
                    key,
                    &stuck.position,
                    &stuck.refusal.reason,
                    &stuck.refusal.cause.as_str(),
                    &stuck.schema_version,
                    &BUILD,
                ],
            )
            .await?;
    }
    Ok(true)
}
