//! The composition root: makes the parts, wires them, runs them, and takes them down in order.

mod parts;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eventstore::{Location, OpenError, Options, VaultError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, Settings};
use crate::http::auth::Callers;
use crate::http::health::{Health, Phase, ticking};
use crate::http::router::router;
use crate::http::server::{self, Stopped};
use crate::http::state::Edge;
use crate::providers::simulator::ledger::LedgerError;
use crate::saga::definition::DefinitionError;
use crate::workers::Workers;

/// File in a data directory that names the server holding it, so that commands find it.
const SERVER_FILE: &str = "server.url";

/// What stopping may take after the last answer: workers end between two steps, not within one.
const WORKERS_STOP_WITHIN: Duration = Duration::from_secs(5);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Anyone in the network could do anything.
    #[error(
        "{0} can be reached from other machines and there are no API tokens: give --api-tokens FILE, or listen on 127.0.0.1, \
         or add --insecure if everyone who reaches it may do everything"
    )]
    Exposed(SocketAddr),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The log cannot be opened.
    #[error("cannot open the log: {0}")]
    Store(#[from] OpenError),
    /// The views cannot be opened.
    #[error("cannot open the views: {0}")]
    Views(#[from] projections::OpenError),
    /// The views cannot be read.
    #[error("cannot read the views: {0}")]
    ViewTables(#[from] projections::StoreError),
    /// Personal data could not be read or written.
    #[error("cannot open the vault: {0}")]
    Vault(#[from] VaultError),
    /// The built-in providers have no place for their ledger.
    #[error("cannot open the providers' ledger: {0}")]
    Providers(#[from] LedgerError),
    /// The sagas of this build contradict themselves.
    #[error(transparent)]
    Sagas(#[from] DefinitionError),
}

/// How a server ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything in flight was finished.
    InOrder,
    /// Time ran out; this was left.
    Cut(String),
}

/// A running server.
pub struct App {
    edge: Edge,
    address: SocketAddr,
    workers: Workers,
    http: JoinHandle<Stopped>,
    stop_http: CancellationToken,
    grace: Duration,
    server_file: Option<PathBuf>,
}

impl App {
    /// Starts a server as configured.
    pub async fn start(settings: &Settings) -> Result<App, StartError> {
        App::start_with(settings, Options::default()).await
    }

    /// Starts a server whose log is opened with these options.
    pub async fn start_with(settings: &Settings, options: Options) -> Result<App, StartError> {
        let callers = Callers::load(settings.edge.api_tokens.as_deref())?;
        let listener = parts::listen(&settings.edge, &callers).await?;
        let location = settings.store.location()?;
        let store = parts::open_log(&location, options).await?;
        let projections = parts::open_views(&location, &store).await?;
        let health = Health::new();
        let mut workers = Workers::new(Arc::clone(&health));
        let fulfilment = parts::fulfilment(settings, &store, &mut workers).await?;
        let edge = parts::assemble(settings, callers, fulfilment, projections, store, health)?;
        parts::start_workers(&edge, &mut workers);
        App::serve(settings, edge, workers, listener)
    }

    fn serve(
        settings: &Settings,
        edge: Edge,
        workers: Workers,
        listener: tokio::net::TcpListener,
    ) -> Result<App, StartError> {
        let configured = settings.edge.listen;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            address: configured,
            source,
        })?;
        let stop_http = CancellationToken::new();
        let serving = server::serve(
            listener,
            router(edge.clone()),
            usize::from(settings.edge.max_connections),
            stop_http.clone(),
            settings.edge.shutdown_grace,
        );
        let http = tokio::spawn(edge.health.watch("http", ticking(serving)));
        edge.health.enter(Phase::Ready);
        let grace = settings.edge.shutdown_grace;
        let mut app = App {
            edge,
            address,
            workers,
            http,
            stop_http,
            grace,
            server_file: None,
        };
        app.server_file = app.announce(&settings.store.data_dir);
        Ok(app)
    }

    /// Leaves the address where commands on this machine find it. Failing to is no reason not to serve.
    fn announce(&self, data_dir: &Path) -> Option<PathBuf> {
        if !matches!(self.edge.store.location(), Location::Sqlite { .. }) {
            return None;
        }
        let file = data_dir.join(SERVER_FILE);
        match std::fs::write(&file, self.url()) {
            Ok(()) => Some(file),
            Err(error) => {
                tracing::warn!(%error, "the server's address could not be left in the data directory");
                None
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What keeps its log.
    #[must_use]
    pub fn store_name(&self) -> &'static str {
        self.edge.store.backend_name()
    }

    /// The parts that answer requests.
    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Resolves with the name of the first part that ends by itself, which none should.
    pub async fn died(&mut self) -> String {
        tokio::select! {
            name = self.workers.died() => name,
            _ = &mut self.http => "the HTTP server".to_owned(),
        }
    }

    /// Takes it down in order: not ready, no new connections, finish what is in flight, then the workers.
    pub async fn stop(self) -> Ended {
        let deadline = Instant::now() + self.grace;
        self.edge.health.enter(Phase::Draining);
        // Streams never end by themselves and would hold their connections open.
        self.edge.stop.cancel();
        self.stop_http.cancel();
        let mut left = Vec::new();
        match timeout_at(deadline, self.http).await {
            Ok(Ok(Stopped::Drained)) => {}
            Ok(Ok(Stopped::Cut(connections))) => left.push(format!("{connections} connections")),
            Ok(Err(_)) | Err(_) => left.push("the HTTP server".to_owned()),
        }
        // Commands whose clients hung up run on.
        self.edge.tasks.close();
        if timeout_at(deadline, self.edge.tasks.wait()).await.is_err() {
            left.push(format!("{} commands", self.edge.tasks.len()));
        }
        let left_for_sagas = deadline.saturating_duration_since(Instant::now());
        if !self.edge.fulfilment.engine().drain(left_for_sagas).await {
            left.push("steps of sagas, which the next process takes up".to_owned());
        }
        if timeout(WORKERS_STOP_WITHIN, self.workers.stop())
            .await
            .is_err()
        {
            left.push("workers".to_owned());
        }
        if let Some(file) = self.server_file {
            // A stale address does no harm; whoever uses it is told that nobody answers.
            let _ = std::fs::remove_file(file);
        }
        if left.is_empty() {
            Ended::InOrder
        } else {
            Ended::Cut(left.join(", "))
        }
    }
}

/// The address of the server that holds a data directory, if it left one.
#[must_use]
pub fn server_of(data_dir: &Path) -> Option<String> {
    std::fs::read_to_string(data_dir.join(SERVER_FILE))
        .ok()
        .map(|text| text.trim().to_owned())
}
