//! The appender's connection.

use std::time::Duration;

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connect::{Link, Target};
use super::encode::Arrays;
use super::fault::Failure;
use super::reply::Reply;
use super::{durability, fault, migrate};
use crate::error::OpenError;
use crate::position::Position;
use crate::request::Pending;

/// Longest wait for the log's head: other processes hold it for one commit at a time.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest run of one batch on the server.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Past this the connection is taken for dead: the server would have answered or given up.
const REPLY_TIMEOUT: Duration = Duration::from_secs(7);
/// An appender that has been connected for this long without being seen again is long gone; should it be alive after all, it is
/// refused and connects anew.
const FORGET_APPENDERS: &str =
    "DELETE FROM log_appenders WHERE opened_at < now() - interval '30 days'";

const APPEND: &str = "SELECT recorded, start, base, place \
     FROM log_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

pub(super) struct Session {
    pub(super) link: Link,
    /// By which the server knows this connection, and by which it can be struck off.
    pub(super) id: Uuid,
    /// Where the log ended when the session began.
    pub(super) head: Position,
    append: Statement,
}

impl Session {
    /// Connects, checks that the server keeps what it acknowledges and has the right schema, and enters the list of appenders.
    pub(super) async fn open(target: &Target) -> Result<Session, OpenError> {
        let link = target.connect().await?;
        durability::check(&link.client).await?;
        durability::check_writable(&link.client).await?;
        migrate::check(&link.client).await?;
        let opening = |e: tokio_postgres::Error| fault::opening(&e);
        // Everything here is a look-up by index on tables that may have grown a thousandfold since the plan was made: neither
        // statistics nor a compiler can help, only hurt.
        let settings = format!(
            "SET lock_timeout = {}; SET statement_timeout = {}; SET jit = off; SET enable_seqscan = off; \
             SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan",
            LOCK_TIMEOUT.as_millis(),
            STATEMENT_TIMEOUT.as_millis()
        );
        link.client
            .batch_execute(&settings)
            .await
            .map_err(opening)?;
        link.client
            .batch_execute(FORGET_APPENDERS)
            .await
            .map_err(opening)?;
        let id = Uuid::new_v4();
        link.client
            .execute("INSERT INTO log_appenders (session) VALUES ($1)", &[&id])
            .await
            .map_err(opening)?;
        let head = link
            .client
            .query_one("SELECT position FROM log_head", &[])
            .await
            .map_err(opening)?;
        let append = link.client.prepare(APPEND).await.map_err(opening)?;
        Ok(Session {
            link,
            id,
            head: Position(head.get(0)),
            append,
        })
    }

    /// Sends a batch and waits for its commit.
    pub(super) async fn append(&self, batch: &[Pending]) -> Result<Reply, Failure> {
        let arrays = Arrays::of(batch);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(17);
        parameters.push(&self.id);
        parameters.extend(arrays.parameters());
        let call = self.link.client.query_one(&self.append, &parameters);
        let row = match tokio::time::timeout(REPLY_TIMEOUT, call).await {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => return Err(Failure::of(&error)),
            Err(_) => return Err(Failure::Lost("no reply in time".to_owned())),
        };
        if self.link.take_warning() {
            return Err(Failure::Lost("the commit came with a warning".to_owned()));
        }
        Reply::of(&row).map_err(Failure::Lost)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.link.client.is_closed()
    }
}
