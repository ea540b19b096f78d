//! Reading streams and pages.

use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Postgres;
use super::codec::{self, COLUMNS};
use crate::about::{About, Schema};
use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::names::Names;
use crate::position::{Position, Version};
use crate::schema;
use crate::stream::{Category, StreamId};

/// Gives the log a new label.
pub(super) const NEW_EPOCH: &str = "UPDATE log_head SET epoch = gen_random_uuid() RETURNING epoch";

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
        self.one("SELECT position FROM log_head", &[])
            .await
            .map(Position)
    }

    /// The last position in `(after, to]` that was recorded by `moment`.
    pub(crate) async fn last_recorded_by(
        &self,
        moment: DateTime<Utc>,
        after: Position,
        to: Position,
    ) -> Result<Option<Position>, ReadError> {
        let sql = "SELECT max(position) FROM events
                   WHERE position > $1 AND position <= $2 AND recorded_at <= $3";
        let last: Option<i64> = self.one(sql, &[&after.0, &to.0, &moment]).await?;
        Ok(last.map(Position))
    }

    pub(crate) async fn epoch(&self) -> Result<Uuid, ReadError> {
        self.one("SELECT epoch FROM log_head", &[]).await
    }

    pub(crate) async fn renew_epoch(&self) -> Result<Uuid, ReadError> {
        if self.appender.is_none() {
            return Err(ReadError::Unavailable("opened for reading only".to_owned()));
        }
        self.one(NEW_EPOCH, &[]).await
    }

    pub(crate) async fn about(&self) -> Result<About, ReadError> {
        let sql = format!(
            "SELECT current_setting('server_version'), clock_timestamp(), \
             (SELECT max(version) FROM {}), (SELECT oldest_binary FROM log_schema)",
            schema::HISTORY_TABLE
        );
        let rows = self.reads.query(&sql, &[]).await?;
        let row = rows
            .first()
            .ok_or_else(|| ReadError::Corrupt("log_schema has no row".to_owned()))?;
        let version: String = row.try_get(0).map_err(codec::corrupt)?;
        Ok(About {
            server: format!("PostgreSQL {version}"),
            now: row.try_get(1).map_err(codec::corrupt)?,
            schema: Schema {
                version: row.try_get(2).map_err(codec::corrupt)?,
                oldest_binary: row.try_get(3).map_err(codec::corrupt)?,
                this_binary: schema::BINARY_GENERATION,
            },
        })
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
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<T, ReadError> {
        let rows = self.reads.query(sql, values).await?;
        let row = rows
            .first()
            .ok_or_else(|| ReadError::Corrupt("log_head has no row".to_owned()))?;
        row.try_get(0).map_err(codec::corrupt)
    }
}
