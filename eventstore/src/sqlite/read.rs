//! Reading streams and pages.

use rusqlite::{Connection, Params, params};
use uuid::Uuid;

use super::readers::Reader;
use super::row::{self, COLUMNS};
use super::{Sqlite, fault};
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::position::{Position, Version};
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

fn prepare<'a>(
    connection: &'a Connection,
    sql: &str,
) -> Result<rusqlite::CachedStatement<'a>, ReadError> {
    connection
        .prepare_cached(sql)
        .map_err(|e| fault::reading(&e))
}
