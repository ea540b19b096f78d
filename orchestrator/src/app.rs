//! The composition root: makes the parts, wires them, runs them, and takes them down in order.

mod claim;
mod parts;
mod providers;
#[cfg(test)]
mod tests;
mod times;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aggregates::codec::{self, BrokenChain};
use eventstore::{Location, OpenError, Options, ReadError, VaultError};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use projections::{Place, Places};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::bus::relay::Relay;
use crate::bus::wakeups::Wakeups;
use crate::config::roles::Role;
use crate::config::{ConfigError, Settings};
use crate::http::auth::Callers;
use crate::http::health::{Health, Phase, ticking};
use crate::http::router::{operation_only, router};
use crate::http::server::{self, Stopped};
use crate::http::state::Edge;
use crate::providers::http::SetupError;
use crate::providers::simulator::ledger::LedgerError;
use crate::saga::definition::{DefinitionError, Saga};
use crate::telemetry;
use crate::workers::Workers;
use parts::Door;
use times::Times;

/// File in a data directory that names the server holding it, so that commands find it.
const SERVER_FILE: &str = "server.url";

/// How often it is looked whether all parts still run.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    /// The claim on the built-in providers cannot be looked at.
    #[error("cannot see whether another process has built-in providers: {0}")]
    Claim(#[source] ReadError),
    /// Another process on this log has providers of its own.
    #[error(
        "another process on this database has the built-in simulator within it, and two know nothing of each other's books: run `bookmarket simulate` once and give every process its --simulator-url, or the credentials of all providers"
    )]
    Claimed,
    /// The built-in providers have no place for their ledger.
    #[error("cannot open the providers' ledger: {0}")]
    Providers(#[from] LedgerError),
    /// A provider's adapter cannot be made from its settings.
    #[error(transparent)]
    Adapter(#[from] SetupError),
    /// This build cannot read every version of its events.
    #[error(transparent)]
    Events(#[from] BrokenChain),
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

/// Says which sagas a server has, given those of this build.
pub type ChooseSagas = Box<dyn FnOnce(Vec<Arc<dyn Saga>>) -> Vec<Arc<dyn Saga>> + Send>;

/// The wake-ups that are taken from others and given to them.
struct Pulling {
    wakeups: Wakeups,
    stop: CancellationToken,
}

/// What accepts connections, until its end. It may be waited for again by somebody who has seen it end.
type Serving = Shared<BoxFuture<'static, Option<Stopped>>>;

/// A running server.
pub struct App {
    edge: Edge,
    address: SocketAddr,
    workers: Workers,
    http: Serving,
    stop_http: CancellationToken,
    pulling: Pulling,
    times: Times,
    server_file: Option<PathBuf>,
}

impl App {
    /// Starts a server as configured.
    pub async fn start(settings: &Settings) -> Result<App, StartError> {
        App::start_with(settings, Options::default()).await
    }

    /// Starts a server whose log is opened with these options.
    pub async fn start_with(settings: &Settings, options: Options) -> Result<App, StartError> {
        App::start_as(settings, options, Box::new(|own| own)).await
    }

    /// The same for a build to come: one that has other sagas, or other versions of them, beside those of this one. So tests see the
    /// two side by side.
    pub async fn start_as(
        settings: &Settings,
        options: Options,
        sagas: ChooseSagas,
    ) -> Result<App, StartError> {
        codec::check()?;
        settings.check()?;
        // What is counted before there is somebody who counts is lost.
        telemetry::metrics()?;
        let callers = Callers::load(settings.edge.api_tokens.as_deref())?;
        let door = parts::listen(&settings.edge, &callers).await?;
        let places = settings.store.places()?;
        let store = parts::open_log(&places.log, options).await?;
        let projections = parts::open_views(&places, &store).await?;
        let health = Health::new();
        let mut workers = Workers::new(Arc::clone(&health));
        if settings.providers.choose()?.needs_simulator()
            && let Some(claim) = claim::Claim::stake(&store).await?
        {
            let holding = ticking(claim.hold(workers.stop_token()));
            workers.start("the claim on the built-in providers", holding);
        }
        let broker = parts::broker(settings).await?;
        let wakeups = parts::wakeups(settings, &store, broker.as_ref());
        let fulfilment = parts::fulfilment(
            settings,
            &store,
            broker.as_ref(),
            &wakeups,
            sagas,
            &mut workers,
        )
        .await?;
        let relay = parts::relay(settings, &store, broker.as_ref());
        let bus = parts::Bus {
            broker: broker.clone(),
            relay: relay.as_ref().map(Relay::status),
            wakeups: wakeups.standing(),
        };
        let edge = parts::assemble(
            settings,
            bus,
            callers,
            fulfilment,
            projections,
            store,
            health,
        )?;
        if let Some(relay) = relay {
            workers.start("the relay", relay.run(workers.stop_token()));
        }
        let stop_pulling = CancellationToken::new();
        parts::start_workers(settings, &edge, &mut workers);
        if settings.roles.has(Role::Worker) {
            let (pulled, stop) = (wakeups.clone(), stop_pulling.clone());
            parts::attend(&edge, pulled, stop, &mut workers);
        }
        parts::start_hints(&edge.store, broker, &mut workers);
        let pulling = Pulling {
            wakeups,
            stop: stop_pulling,
        };
        App::serve(settings, &places, edge, workers, pulling, door)
    }

    fn serve(
        settings: &Settings,
        places: &Places,
        edge: Edge,
        workers: Workers,
        pulling: Pulling,
        door: Door,
    ) -> Result<App, StartError> {
        let configured = settings.edge.listen;
        let address = door
            .listener
            .local_addr()
            .map_err(|source| StartError::Listen {
                address: configured,
                source,
            })?;
        let stop_http = CancellationToken::new();
        let router = if settings.roles.has(Role::Api) {
            router(edge.clone())
        } else {
            operation_only(edge.clone())
        };
        let times = Times::of(settings, door.is_shared);
        let limits = times.of_server(usize::from(settings.edge.max_connections));
        let serving = server::serve(door.listener, router, limits, stop_http.clone());
        let http = tokio::spawn(edge.health.watch("http", ticking(serving)));
        let http = http.map(Result::ok).boxed().shared();
        edge.health.enter(Phase::Ready);
        let mut app = App {
            edge,
            address,
            workers,
            http,
            stop_http,
            pulling,
            times,
            server_file: None,
        };
        app.server_file = app.announce(&settings.store.data_dir, places);
        Ok(app)
    }

    /// Leaves the address where commands on this machine find it, which cannot open what it holds. Failing to is no reason not to serve.
    fn announce(&self, data_dir: &Path, places: &Places) -> Option<PathBuf> {
        let embedded = |place: &Place<'_>| matches!(place.location, Location::Sqlite { .. });
        if !places.each().iter().any(embedded) {
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
            _ = self.http.clone() => "the HTTP server".to_owned(),
            name = ended(&self.edge) => name,
        }
    }

    /// Takes it down in order: not ready, a while of serving as before, no new connections, finish what is in flight, no more
    /// wake-ups, of which those that nobody looked at go to others, then the sagas and the workers, who give their leases back.
    pub async fn stop(self) -> Ended {
        let ends = Instant::now() + self.times.grace;
        let deadline = ends - self.times.last_words();
        self.edge.health.enter(Phase::Draining);
        sleep(self.times.drain_delay).await;
        // Streams never end by themselves and would hold their connections open.
        self.edge.stop.cancel();
        self.stop_http.cancel();
        let mut left = Vec::new();
        // Clients who are slow are cut off before; what is still open then is being worked on.
        let answered = timeout_at(deadline, self.http.clone()).await;
        match &answered {
            Ok(Some(Stopped::Drained)) => {}
            Ok(Some(Stopped::Cut(connections))) => left.push(format!("{connections} connections")),
            Ok(None) | Err(_) => left.push("the HTTP server".to_owned()),
        }
        // Commands whose clients hung up run on.
        self.edge.tasks.close();
        if timeout_at(deadline, self.edge.tasks.wait()).await.is_err() {
            left.push(format!("{} commands", self.edge.tasks.len()));
        }
        self.pulling.stop.cancel();
        let left_for_sagas = deadline.saturating_duration_since(Instant::now());
        let engine = self.edge.fulfilment.engine();
        // Others need not wait for a step in hand to get what this process has not looked at.
        let giving_back = timeout_at(deadline, self.pulling.wakeups.give_back());
        let (drained, _) = tokio::join!(engine.drain(left_for_sagas), giving_back);
        if !drained {
            left.push("steps of sagas, which the next process takes up".to_owned());
        }
        // Whoever still waits for what was cut is being told so, and a client that does not read that holds up nobody else.
        let last_answers = async {
            if answered.is_err() {
                let _ = timeout_at(ends, self.http).await;
            }
        };
        let leaving = async {
            let stopped = timeout_at(ends, self.workers.stop()).await;
            // A broker that does not answer keeps nobody past the grace: what is not said to it is delivered again.
            let _ = timeout_at(ends, self.pulling.wakeups.close()).await;
            stopped
        };
        let ((), stopped) = tokio::join!(last_answers, leaving);
        if stopped.is_err() {
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

/// Resolves with the first part that has ended.
async fn ended(edge: &Edge) -> String {
    loop {
        if let Some(name) = edge.ended().into_iter().next() {
            return name;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The address of the server that holds a data directory, if it left one.
#[must_use]
pub fn server_of(data_dir: &Path) -> Option<String> {
    std::fs::read_to_string(data_dir.join(SERVER_FILE))
        .ok()
        .map(|text| text.trim().to_owned())
}
