//! Reading streams and pages.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Params, params};
use uuid::Uuid;

use super::readers::Reader;
use super::row::{self, COLUMNS};
use super::{Sqlite, fault};
use crate::about::{About, Schema};
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::position::{Position, Version};
use crate::schema;
use crate::stream::{Category, StreamId};

impl Sqlite {
    pub(crate) async fn stream(
        &self,
        stream: &StreamId,
        after: Version,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let stream = stream.clone();
        self.readers
            .read(move |reader| {
                let sql = "WHERE stream_id = ?1 AND category = ?2 AND version > ?3 ORDER BY version LIMIT ?4";
                reader.events(sql, params![stream.id.as_bytes(), stream.category.as_str(), after.0, limit])
            })
            .await
    }

    pub(crate) async fn related(
        &self,
        id: Uuid,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers
            .read(move |reader| {
                reader.events(
                    "WHERE stream_id = ?1 ORDER BY position LIMIT ?2",
                    params![id.as_bytes(), limit],
                )
            })
            .await
    }

    /// The events from `from` on, that one included.
    pub(crate) async fn from(
        &self,
        from: Position,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers
            .read(move |reader| {
                reader.events(
                    "WHERE position >= ?1 ORDER BY position LIMIT ?2",
                    params![from.0, limit],
                )
            })
            .await
    }

    /// The events in `(after, to]`, of one category if given.
    pub(crate) async fn range(
        &self,
        after: Position,
        to: Position,
        limit: i64,
        category: Option<Category>,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers
            .read(move |reader| match category {
                None => {
                    let sql = "WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3";
                    reader.events(sql, params![after.0, to.0, limit])
                }
                Some(category) => {
                    let sql = "WHERE position > ?1 AND position <= ?2 AND category = ?3 ORDER BY position LIMIT ?4";
                    reader.events(sql, params![after.0, to.0, category.as_str(), limit])
                }
            })
            .await
    }

    pub(crate) async fn head(&self) -> Result<Position, ReadError> {
        self.readers
            .read(|reader| head(&reader.connection).map_err(|e| fault::reading(&e)))
            .await
    }

    /// The last position in `(after, to]` that was recorded by `moment`.
    pub(crate) async fn last_recorded_by(
        &self,
        moment: DateTime<Utc>,
        after: Position,
        to: Position,
    ) -> Result<Option<Position>, ReadError> {
        self.readers
            .read(move |reader| {
                let sql = "SELECT max(position) FROM events
                           WHERE position > ?1 AND position <= ?2 AND recorded_at <= ?3";
                let moment = row::micros(moment);
                let mut statement = prepare(&reader.connection, sql)?;
                let last: Option<i64> = statement
                    .query_row(params![after.0, to.0, moment], |row| row.get(0))
                    .map_err(|e| fault::reading(&e))?;
                Ok(last.map(Position))
            })
            .await
    }

    pub(crate) async fn epoch(&self) -> Result<Uuid, ReadError> {
        self.readers
            .read(|reader| {
                let mut statement = prepare(&reader.connection, "SELECT epoch FROM log_head")?;
                statement
                    .query_row([], |row| Ok(row::id(row, 0)))
                    .map_err(|e| fault::reading(&e))?
            })
            .await
    }

    pub(crate) async fn renew_epoch(&self) -> Result<Uuid, ReadError> {
        self.write(renew_epoch).await
    }

    pub(crate) async fn about(&self) -> Result<About, ReadError> {
        let sql = format!(
            "SELECT sqlite_version(), (SELECT max(version) FROM {}), (SELECT oldest_binary FROM log_schema)",
            schema::HISTORY_TABLE
        );
        self.readers
            .read(move |reader| {
                let about = |row: &rusqlite::Row<'_>| {
                    let version: String = row.get(0)?;
                    Ok(About {
                        server: format!("SQLite {version}"),
                        now: Utc::now(),
                        schema: Schema {
                            version: row.get(1)?,
                            oldest_binary: row.get(2)?,
                            this_binary: schema::BINARY_GENERATION,
                        },
                    })
                };
                let asked = reader.connection.query_row(&sql, [], about);
                asked.map_err(|e| fault::reading(&e))
            })
            .await
    }
}

impl Reader {
    /// The events that `rest` selects.
    pub(super) fn events(
        &mut self,
        rest: &str,
        values: impl Params,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut statement = prepare(
            &self.connection,
            &format!("SELECT {COLUMNS} FROM events {rest}"),
        )?;
        let mut rows = statement.query(values).map_err(|e| fault::reading(&e))?;
        let mut events = Vec::new();
        while let Some(row) = rows.next().map_err(|e| fault::reading(&e))? {
            events.push(row::event(row, &mut self.names)?);
        }
        Ok(events)
    }
}

pub(super) fn head(connection: &Connection) -> rusqlite::Result<Position> {
    connection
        .prepare_cached("SELECT position FROM log_head")?
        .query_row([], |row| row.get(0).map(Position))
}

/// Gives the log a new label.
pub(super) fn renew_epoch(connection: &Connection) -> rusqlite::Result<Uuid> {
    let sql = "UPDATE log_head SET epoch = randomblob(16) RETURNING epoch";
    connection.query_row(sql, [], |row| row.get(0).map(Uuid::from_bytes))
}

fn prepare<'a>(
    connection: &'a Connection,
    sql: &str,
) -> Result<rusqlite::CachedStatement<'a>, ReadError> {
    connection
        .prepare_cached(sql)
        .map_err(|e| fault::reading(&e))
}
