//! Connections for reading.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use super::connect::{Target, Tls};
use super::fault;
use crate::error::{OpenError, ReadError};

/// Longest run of one read on the server.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);
/// Past this the connection is taken for dead.
const REPLY_TIMEOUT: Duration = Duration::from_secs(25);
/// Longest wait for a connection.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Reads(Pool);

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reads").field(&self.0.status()).finish()
    }
}

impl Reads {
    pub(super) fn new(target: &Target, most: usize) -> Result<Self, OpenError> {
        let how = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match &target.tls {
            Tls::Off => Manager::from_config(target.config.clone(), NoTls, how),
            Tls::Rustls(tls) => Manager::from_config(target.config.clone(), tls.clone(), how),
        };
        // Every read is a look-up by index; see the appender's session for why the planner is held to that.
        let settings = format!(
            "SET statement_timeout = {}; SET jit = off; SET enable_seqscan = off; SET idle_in_transaction_session_timeout = {}",
            STATEMENT_TIMEOUT.as_millis(),
            STATEMENT_TIMEOUT.as_millis()
        );
        let configure = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let settings = settings.clone();
            Box::pin(async move {
                client
                    .batch_execute(&settings)
                    .await
                    .map_err(HookError::Backend)
            })
        });
        let timeouts = Timeouts {
            wait: Some(WAIT_TIMEOUT),
            create: Some(WAIT_TIMEOUT),
            recycle: Some(WAIT_TIMEOUT),
        };
        Pool::builder(manager)
            .max_size(most.max(1))
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .post_create(configure)
            .build()
            .map(Reads)
            .map_err(|e| OpenError::Unavailable(e.to_string()))
    }

    /// Runs a query that may be repeated without harm; a connection that turns out to be dead costs one more try.
    pub(super) async fn query(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, ReadError> {
        match self.query_once(sql, values).await? {
            Ok(rows) => Ok(rows),
            Err(error) if fault::is_connection_gone(&error) => self
                .query_once(sql, values)
                .await?
                .map_err(|e| fault::reading(&e)),
            Err(error) => Err(fault::reading(&error)),
        }
    }

    async fn query_once(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>, ReadError> {
        let client = self
            .0
            .get()
            .await
            .map_err(|e| ReadError::Unavailable(e.to_string()))?;
        let run = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, values).await
        };
        if let Ok(outcome) = tokio::time::timeout(REPLY_TIMEOUT, run).await {
            return Ok(outcome);
        }
        // Not back into the pool: its answer may still come.
        drop(deadpool_postgres::Object::take(client));
        Err(ReadError::Unavailable("no reply in time".to_owned()))
    }
}
