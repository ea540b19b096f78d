//! The simulator as a server: one memory and one ledger behind the interfaces of Toss Payments, Solapi, tracker.delivery
//! and our own label API, with faults by rule down to the socket, and webhooks to the shop.

mod clock;
mod control;
mod graphql;
mod label;
mod refunds;
mod reply;
mod socket;
mod solapi;
mod toss;
mod tracker;
mod webhooks;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ledger::{LedgerError, Line};
use super::rules::{On, Rules, slow};
use super::{Core, Options, Simulator, lock};
use webhooks::Teller;

/// More than any request of these interfaces takes.
const MAX_BODY: usize = 1024 * 1024;

/// The shop that is told of changes.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Its base address.
    pub url: String,
    /// The last part of the paths that it listens on.
    pub secret: SecretString,
}

/// A set of rules with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Every charge takes 400 ms, give or take 220
    SlowPayment,
    /// Every message takes 400 ms, give or take 220
    SlowDealer,
}

/// What is served.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The simulator behind.
    pub simulator: Options,
    /// Whom to tell; nobody when absent.
    pub shop: Option<Shop>,
    /// The rules to begin with.
    pub presets: Vec<Preset>,
}

/// What all interfaces share.
#[derive(Debug)]
struct Front {
    core: Arc<Core>,
    rules: Mutex<Rules>,
    teller: Teller,
    /// Told when a refund has begun that will be through later.
    refunds: Notify,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    http: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Recovers the world and serves it on `listener`.
    pub fn start(setup: &Setup, listener: TcpListener) -> Result<Self, LedgerError> {
        let address = listener.local_addr().map_err(|source| LedgerError::Io {
            path: setup.simulator.ledger.clone(),
            source,
        })?;
        let (simulator, scans) = Simulator::open(&setup.simulator)?;
        let stop = CancellationToken::new();
        let (teller, tellers) = webhooks::start(setup.shop.clone(), stop.clone());
        let mut rules = Rules::default();
        rules.set(
            1,
            setup.presets.iter().map(|preset| preset.rule()).collect(),
        );
        let front = Arc::new(Front {
            core: Arc::clone(&simulator.core),
            rules: Mutex::new(rules),
            teller,
            refunds: Notify::new(),
        });
        let workers = vec![
            tellers,
            until(&stop, refunds::run(Arc::clone(&front))),
            until(&stop, tracker::tell_scans(Arc::clone(&front), scans)),
        ];
        let http = tokio::spawn(socket::serve(listener, router(front), stop.clone()));
        Ok(Self {
            address,
            stop,
            http,
            workers,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers what is in flight, then ends; the ledger is complete and free when this returns.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic in there was logged where it happened.
        let _ = self.http.await;
        for worker in self.workers {
            let _ = worker.await;
        }
    }
}

/// Runs beside the server until it stops.
fn until(
    stop: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move {
        stop.run_until_cancelled(work).await;
    })
}

impl Preset {
    fn rule(self) -> super::rules::Rule {
        match self {
            Self::SlowPayment => slow(On::Charge),
            Self::SlowDealer => slow(On::Send),
        }
    }
}

impl Front {
    /// The line of this sequence, once it is on disk.
    async fn line(&self, seq: u64) -> Option<Line> {
        let (reader, upto) = (self.core.reader.clone(), self.core.ledger.synced_seq());
        let before = seq.checked_sub(1)?;
        let read = tokio::task::spawn_blocking(move || reader.page(before, upto, 1));
        let line = read.await.ok()?.ok()?.pop()?;
        (line.seq == seq).then_some(line)
    }

    /// At most `limit` lines after a sequence, once they are on disk.
    async fn lines(&self, after: u64, limit: usize) -> std::io::Result<Vec<Line>> {
        let (reader, upto) = (self.core.reader.clone(), self.core.ledger.synced_seq());
        let read = tokio::task::spawn_blocking(move || reader.page(after, upto, limit));
        read.await.map_err(std::io::Error::other)?
    }

    /// A sequence that every line written at or after `at` comes after.
    async fn before(&self, at: DateTime<Utc>) -> Option<u64> {
        let reader = self.core.reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.before(at));
        read.await.ok()?.ok()
    }

    fn draw(&self, port: super::ledger::Port, on: On, order: &str) -> super::rules::Fate {
        lock(&self.rules).draw(port, on, order)
    }
}

fn router(front: Arc<Front>) -> Router {
    Router::new()
        .nest("/toss", toss::routes())
        .nest("/label", label::routes())
        .nest("/tracker", tracker::routes())
        .nest("/solapi", solapi::routes())
        .merge(control::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(front)
}

/// How long a stop waits for what is in flight.
const GRACE: Duration = Duration::from_secs(5);
