//! Reaching the server.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use eventstore::Location;
use secrecy::ExposeSecret as _;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::OpenError;

/// Longest wait for a connection, new or from the pool.
const WAIT: Duration = Duration::from_secs(5);

/// A silent peer is taken for dead after about this.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Views may lose their last commits with the machine, rows and checkpoint alike; the log is where
/// nothing is lost. So a commit here does not wait for the disk.
const SETTINGS: &str =
    "SET synchronous_commit = off; SET jit = off; SET idle_in_transaction_session_timeout = '60s'";

/// The server of this location.
pub(super) fn config(location: &Location) -> Result<Config, OpenError> {
    let Location::Postgres { url } = location else {
        return Err(OpenError::Connect("not a Postgres location".into()));
    };
    let mut config: Config = url
        .expose_secret()
        .parse()
        .map_err(|error: tokio_postgres::Error| OpenError::Connect(error.into()))?;
    if config.get_application_name().is_none() {
        config.application_name("projections");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(WAIT);
    }
    config.keepalives(true).keepalives_idle(KEEPALIVE);
    Ok(config)
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
                .batch_execute(SETTINGS)
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
