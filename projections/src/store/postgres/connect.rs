//! Reaching the server.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use eventstore::{Location, postgres_config};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::OpenError;

/// Longest wait for a connection, new or from the pool.
const WAIT: Duration = Duration::from_secs(5);

/// Longest run of one statement; making an index takes its own time.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Views may lose their last commits with the machine, rows and checkpoint alike; the log is where
/// nothing is lost. So a commit here does not wait for the disk.
fn session() -> String {
    let limit = STATEMENT_TIMEOUT.as_millis();
    format!(
        "SET synchronous_commit = off; SET jit = off; SET statement_timeout = {limit};
         SET idle_in_transaction_session_timeout = {limit}"
    )
}

/// The server of this location.
pub(super) fn config(location: &Location) -> Result<Config, OpenError> {
    let Location::Postgres { url } = location else {
        return Err(OpenError::Connect("not a Postgres location".into()));
    };
    postgres_config(url, "projections").map_err(|error| OpenError::Connect(error.into()))
}

/// One connection, driven by a task that ends with it.
pub(super) async fn one(config: &Config) -> Result<Client, OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::Connect(error.into());
    if let Some(tls) = tls(config)? {
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        tokio::spawn(connection);
        return Ok(client);
    }
    let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
    tokio::spawn(connection);
    Ok(client)
}

/// A pool of connections.
pub(super) fn pool(config: Config, most: usize) -> Result<Pool, OpenError> {
    let how = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match tls(&config)? {
        Some(tls) => Manager::from_config(config, tls, how),
        None => Manager::from_config(config, NoTls, how),
    };
    let configure = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move {
            client
                .batch_execute(&session())
                .await
                .map_err(HookError::Backend)
        })
    });
    Pool::builder(manager)
        .max_size(most)
        .timeouts(Timeouts {
            wait: Some(WAIT),
            create: Some(WAIT),
            recycle: Some(WAIT),
        })
        .runtime(Runtime::Tokio1)
        .post_create(configure)
        .build()
        .map_err(|error| OpenError::Connect(error.into()))
}

fn tls(config: &Config) -> Result<Option<MakeRustlsConnect>, OpenError> {
    if config.get_ssl_mode() != SslMode::Require {
        return Ok(None);
    }
    match MakeRustlsConnect::with_native_certs() {
        Ok((tls, _unreadable)) => Ok(Some(tls)),
        Err(_) => Err(OpenError::Connect(
            "TLS needs root certificates and found none".into(),
        )),
    }
}
