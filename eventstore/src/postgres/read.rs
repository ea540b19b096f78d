//! Reading streams and pages.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Postgres;
use super::codec::{self, COLUMNS};
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::stream::{Category, StreamId};

impl Postgres {
    pub(crate) async fn stream(
        &self,
        stream: &StreamId,
        after: Version,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let sql =
            "WHERE stream_id = $1 AND category = $2 AND version > $3 ORDER BY version LIMIT $4";
        self.events(
            sql,
            &[&stream.id, &stream.category.as_str(), &after.0, &limit],
        )
        .await
    }

    pub(crate) async fn related(
        &self,
        id: Uuid,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        // The sum keeps the planner from walking the whole log by position in the hope of meeting this id soon.
        self.events(
            "WHERE stream_id = $1 ORDER BY position + 0 LIMIT $2",
            &[&id, &limit],
        )
        .await
    }

    /// The events from `from` on, that one included.
    pub(crate) async fn from(
        &self,
        from: Position,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.events(
            "WHERE position >= $1 ORDER BY position LIMIT $2",
            &[&from.0, &limit],
        )
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
        match category {
            None => {
                let sql = "WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3";
                self.events(sql, &[&after.0, &to.0, &limit]).await
            }
            Some(category) => {
                let sql = "WHERE position > $1 AND position <= $2 AND category = $3 ORDER BY position LIMIT $4";
                self.events(sql, &[&after.0, &to.0, &category.as_str(), &limit])
                    .await
            }
        }
    }

    pub(crate) async fn head(&self) -> Result<Position, ReadError> {
        self.one("SELECT position FROM log_head")
            .await
            .map(Position)
    }

    pub(crate) async fn epoch(&self) -> Result<Uuid, ReadError> {
        self.one("SELECT epoch FROM log_head").await
    }

    async fn events(
        &self,
        rest: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let rows = self
            .reads
            .query(&format!("SELECT {COLUMNS} FROM events {rest}"), values)
            .await?;
        let mut names = Names::default();
        rows.iter()
            .map(|row| codec::event(row, &mut names))
            .collect()
    }

    async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(
        &self,
        sql: &str,
    ) -> Result<T, ReadError> {
        let rows = self.reads.query(sql, &[]).await?;
        let row = rows
            .first()
            .ok_or_else(|| ReadError::Corrupt("log_head has no row".to_owned()))?;
        row.try_get(0).map_err(codec::corrupt)
    }
}
