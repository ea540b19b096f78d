//! What is parked, in `views.db`.

use eventstore::Position;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{SqliteViews, tables};
use crate::error::StoreError;
use crate::parking::{BUILD, Cause, ParkedEvent, ParkedKey, Parking};
use crate::store::{PageCommit, ParkedAt, UnknownType};
use crate::table::TableDef;

impl SqliteViews {
    pub(crate) async fn parking(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Parking, StoreError> {
        self.read(move |connection| {
            // Without a cause it may be either.
            let mut statement = connection.prepare_cached(
                "SELECT key, max(coalesce(cause, 'unknown') IN ('unknown', 'unreadable'))
                 FROM projection_parked WHERE view = ?1 AND generation = ?2 GROUP BY key",
            )?;
            let keys = statement.query_map(params![def.view, generation], |row| {
                Ok((tables::uuid(row, 0)?, row.get(1)?))
            })?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn parked(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<(Vec<ParkedKey>, u64), StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "WITH keys AS (SELECT key, min(position) AS position, count(*) AS events
                               FROM projection_parked WHERE view = ?1 AND generation = ?2
                               GROUP BY key ORDER BY 2 LIMIT ?3)
                 SELECT position, event_type, cause, reason, build, key, events
                 FROM keys JOIN projection_parked USING (key, position)
                 WHERE view = ?1 AND generation = ?2 ORDER BY position, key",
            )?;
            let listed = statement
                .query_map(params![def.view, generation, most(limit)], |row| {
                    Ok(ParkedKey {
                        key: tables::uuid(row, 5)?,
                        events: row.get::<_, i64>(6)?.unsigned_abs(),
                        first: event(row)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let keys: i64 = connection.query_row(
                "SELECT count(DISTINCT key) FROM projection_parked WHERE view = ?1 AND generation = ?2",
                params![def.view, generation],
                |row| row.get(0),
            )?;
            Ok((listed, keys.unsigned_abs()))
        })
        .await
    }

    pub(crate) async fn parked_since(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<Option<Position>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT min(position) FROM projection_pointers
                 JOIN projection_parked USING (view, generation) WHERE view = ?1 AND key = ?2",
            )?;
            let key = key.as_bytes().as_slice();
            let first: Option<i64> =
                statement.query_row(params![def.view, key], |row| row.get(0))?;
            Ok(first.map(Position))
        })
        .await
    }

    pub(crate) async fn parked_events(
        &self,
        def: &'static TableDef,
        generation: i64,
        key: Uuid,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT position, event_type, cause, reason, build FROM projection_parked
                 WHERE view = ?1 AND generation = ?2 AND key = ?3 ORDER BY position LIMIT ?4",
            )?;
            let key = key.as_bytes().as_slice();
            let events =
                statement.query_map(params![def.view, generation, key, most(limit)], event)?;
            Ok(events.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn parked_of(
        &self,
        def: &'static TableDef,
        generation: i64,
        key: Uuid,
        limit: usize,
    ) -> Result<Vec<ParkedAt>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT position, coalesce(cause, 'unknown') IN ('unknown', 'unreadable')
                 FROM projection_parked
                 WHERE view = ?1 AND generation = ?2 AND key = ?3 ORDER BY position LIMIT ?4",
            )?;
            let key = key.as_bytes().as_slice();
            let places =
                statement.query_map(params![def.view, generation, key, most(limit)], |row| {
                    Ok(ParkedAt {
                        position: Position(row.get(0)?),
                        breaks_stream: row.get(1)?,
                    })
                })?;
            Ok(places.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn unknown_types(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Vec<UnknownType>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT event_type, schema_version FROM projection_parked
                 WHERE view = ?1 AND generation = ?2 AND cause = 'unknown' AND schema_version IS NOT NULL",
            )?;
            let unknown = statement.query_map(params![def.view, generation], |row| {
                Ok(UnknownType {
                    event_type: row.get(0)?,
                    schema_version: row.get(1)?,
                })
            })?;
            Ok(unknown.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn keys_of_unknown(
        &self,
        def: &'static TableDef,
        generation: i64,
        of: UnknownType,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT key FROM projection_parked
                 WHERE view = ?1 AND generation = ?2 AND cause = 'unknown'
                   AND event_type = ?3 AND schema_version = ?4 LIMIT ?5",
            )?;
            let (event_type, version) = (of.event_type, of.schema_version);
            let wanted = params![def.view, generation, event_type, version, most(limit)];
            let keys = statement.query_map(wanted, |row| tables::uuid(row, 0))?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn keys_without_cause(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "WITH firsts AS (SELECT key, min(position) AS position FROM projection_parked
                                 WHERE view = ?1 AND generation = ?2 GROUP BY key)
                 SELECT key FROM firsts JOIN projection_parked USING (key, position)
                 WHERE view = ?1 AND generation = ?2 AND cause = 'follows' LIMIT ?3",
            )?;
            let wanted = params![def.view, generation, most(limit)];
            let keys = statement.query_map(wanted, |row| tables::uuid(row, 0))?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn event(row: &Row<'_>) -> rusqlite::Result<ParkedEvent> {
    let cause: Option<String> = row.get(2)?;
    Ok(ParkedEvent {
        position: Position(row.get(0)?),
        event_type: row.get(1)?,
        cause: Cause::parse(cause.as_deref()),
        reason: row.get(3)?,
        build: row.get(4)?,
    })
}

pub(super) fn park(
    connection: &Connection,
    def: &TableDef,
    page: &PageCommit,
) -> Result<(), StoreError> {
    for parked in &page.parked {
        connection
            .prepare_cached(
                "INSERT INTO projection_parked
                     (view, generation, key, position, event_type, reason, cause, schema_version, build)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                def.view,
                page.generation,
                parked.key.as_bytes().as_slice(),
                parked.position,
                parked.event_type,
                parked.refusal.reason,
                parked.refusal.cause.as_str(),
                parked.schema_version,
                BUILD,
            ])?;
    }
    Ok(())
}

/// Whether what is to be released is what is parked.
pub(super) fn are_there(
    connection: &Connection,
    def: &TableDef,
    page: &PageCommit,
) -> Result<bool, StoreError> {
    for released in &page.released {
        let parked: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM projection_parked WHERE view = ?1 AND generation = ?2 AND key = ?3
                 AND (position < ?4 OR position = ?5)",
            )?
            .query_row(
                params![
                    def.view,
                    page.generation,
                    released.key.as_bytes().as_slice(),
                    released.before.0,
                    released.skipped.map(|skipped| skipped.0),
                ],
                |row| row.get(0),
            )?;
        if usize::try_from(parked) != Ok(released.struck) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Strikes off what was taken or left out, and says what became of the next one.
pub(super) fn release(
    connection: &Connection,
    def: &TableDef,
    page: &PageCommit,
) -> Result<(), StoreError> {
    for released in &page.released {
        let key = released.key.as_bytes().as_slice();
        connection
            .prepare_cached(
                "DELETE FROM projection_parked WHERE view = ?1 AND generation = ?2 AND key = ?3
                 AND (position < ?4 OR position = ?5)",
            )?
            .execute(params![
                def.view,
                page.generation,
                key,
                released.before.0,
                released.skipped.map(|skipped| skipped.0),
            ])?;
        let Some(stuck) = &released.stuck else {
            continue;
        };
        connection
            .prepare_cached(
                "UPDATE projection_parked SET reason = ?5, cause = ?6, schema_version = ?7, build = ?8
                 WHERE view = ?1 AND generation = ?2 AND key = ?3 AND position = ?4",
            )?
            .execute(params![
                def.view,
                page.generation,
                key,
                stuck.position,
                stuck.refusal.reason,
                stuck.refusal.cause.as_str(),
                stuck.schema_version,
                BUILD,
            ])?;
    }
    Ok(())
}
