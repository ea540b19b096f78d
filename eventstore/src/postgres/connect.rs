//! Reaching the server: URL, TLS, keepalives.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::poll_fn;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use crate::error::OpenError;

/// A server that does not answer by then is taken for down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent peer is asked for a sign of life after this long, then every so often, this many times: dead within 25 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// Bytes that stay unacknowledged this long mean that the peer is gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// How to reach a server: the URL, and what it leaves open set so that a silent peer is found out. For whoever keeps tables of
/// his own beside the log.
pub fn postgres_config(url: &SecretString, application: &str) -> Result<Config, OpenError> {
    let mut config: Config = url
        .expose_secret()
        .parse()
        .map_err(|e: tokio_postgres::Error| {
            // The cause names the part that is wrong; the message of the error itself says nothing.
            let cause =
                std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            OpenError::Url(cause)
        })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name(application);
    }
    config
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .tcp_user_timeout(TCP_USER_TIMEOUT);
    Ok(config)
}

/// Whether what goes to the server of that URL can be read on the way: it is another machine, and the URL does not demand TLS.
pub fn is_readable_on_the_way(url: &SecretString) -> Result<bool, OpenError> {
    let config = postgres_config(url, "eventstore")?;
    let near = |host: &Host| match host {
        Host::Tcp(name) => {
            let address = name.parse::<IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    let addresses = config.get_hostaddrs();
    let stays = if addresses.is_empty() {
        config.get_hosts().iter().all(near)
    } else {
        addresses.iter().all(IpAddr::is_loopback)
    };
    Ok(!stays && config.get_ssl_mode() != SslMode::Require)
}

/// A server to connect to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration carries the password.
        f.debug_struct("Target")
            .field("dbname", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub(super) enum Tls {
    Off,
    Rustls(MakeRustlsConnect),
}

/// A connection and the task that drives it. Dropping it closes the socket, whatever is under way.
pub(super) struct Link {
    pub(super) client: Client,
    warned: Arc<AtomicBool>,
    driver: JoinHandle<()>,
}

impl Target {
    pub(super) fn parse(url: &SecretString) -> Result<Target, OpenError> {
        let config = postgres_config(url, "eventstore")?;
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Tls::Rustls(rustls()?),
            _ => Tls::Off,
        };
        Ok(Target { config, tls })
    }

    pub(super) async fn connect(&self) -> Result<Link, OpenError> {
        let warned = Arc::new(AtomicBool::new(false));
        let opening = |e: tokio_postgres::Error| fault::opening(&e);
        let (client, driver) = match &self.tls {
            Tls::Off => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(opening)?;
                (client, tokio::spawn(drive(connection, Arc::clone(&warned))))
            }
            Tls::Rustls(tls) => {
                let (client, connection) =
                    self.config.connect(tls.clone()).await.map_err(opening)?;
                (client, tokio::spawn(drive(connection, Arc::clone(&warned))))
            }
        };
        Ok(Link {
            client,
            warned,
            driver,
        })
    }
}

impl Target {
    /// A blocking connection, which must neither be made nor dropped on an async thread.
    pub(super) fn connect_blocking(&self) -> Result<postgres::Client, postgres::Error> {
        let config = postgres::Config::from(self.config.clone());
        match &self.tls {
            Tls::Off => config.connect(NoTls),
            Tls::Rustls(tls) => config.connect(tls.clone()),
        }
    }
}

impl Link {
    /// Whether the server has warned since this was last asked. A commit that gave up waiting for its standby succeeds with only a
    /// warning to say that it is not as safe as it should be.
    pub(super) fn take_warning(&self) -> bool {
        self.warned.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn drive<S, T>(mut connection: Connection<S, T>, warned: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            Ok(AsyncMessage::Notice(notice))
                if notice.parsed_severity() == Some(Severity::Warning) =>
            {
                tracing::warn!(
                    code = notice.code().code(),
                    "postgres: {}",
                    notice.message()
                );
                warned.store(true, Ordering::Release);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "postgres: a connection ended");
                return;
            }
        }
    }
}

/// Certificates are checked against the system's roots (`SSL_CERT_FILE` adds one's own).
fn rustls() -> Result<MakeRustlsConnect, OpenError> {
    match MakeRustlsConnect::with_native_certs() {
        Ok((tls, _unreadable)) => Ok(tls),
        Err(errors) => Err(OpenError::Unavailable(format!(
            "TLS needs root certificates and found none: {errors:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_readable_on_the_way_unless_the_url_demands_tls() {
        let readable = |url: &str| is_readable_on_the_way(&url.into()).expect("a URL");
        for near in [
            "postgres://shop@localhost/shop",
            "postgres://shop@127.0.0.1:5433/shop",
            "postgres://shop@[::1]/shop",
            "postgres://shop@%2Fvar%2Frun%2Fpostgresql/shop",
            "postgres://shop@db.example/shop?sslmode=require",
        ] {
            assert!(!readable(near), "{near}");
        }
        for far in [
            "postgres://shop@db.example/shop",
            "postgres://shop@10.0.0.7/shop?sslmode=prefer",
            "postgres://shop@localhost,db.example/shop",
        ] {
            assert!(readable(far), "{far}");
        }
    }
}
