//! Makes the parts of a server from its settings, and starts their loops.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{EventStore, Location, OpenError, Options, Vault};
use projections::{Places, Projections, View};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{ChooseSagas, StartError, providers};
use crate::bus::connection::Broker;
use crate::bus::jetstream::Standing;
use crate::bus::relay::Relay;
use crate::bus::relay::status::RelayStatus;
use crate::bus::wakeups::{self, Wakeups};
use crate::bus::{attendant, hints};
use crate::clocks;
use crate::config::roles::{Role, RoleSettings};
use crate::config::{ConfigError, EdgeSettings, Settings};
use crate::fulfilment::limits::Limits;
use crate::fulfilment::reconcile::{self, Reconciler};
use crate::fulfilment::{self, Fulfilment};
use crate::http::auth::Callers;
use crate::http::gauges::Gauges;
use crate::http::health::{Health, ticking};
use crate::http::orders::Defaults;
use crate::http::rebuilds::Rebuilds;
use crate::http::state::{Edge, Parts};
use crate::http::views::{EXPORTS_AT_ONCE, Seats};
use crate::http::webhooks::Doors;
use crate::saga::dispatch::Begins;
use crate::saga::engine;
use crate::saga::sweeper::{Pace, Sweeper};
use crate::saga_index::SagaViewIndex;
use crate::telemetry;
use crate::workers::Workers;

/// How often the metrics recorder folds what was measured; without it memory grows with every measurement.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Where connections come in.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    /// Whoever had the socket before, or has it next, takes connections from the same queue.
    pub(super) is_shared: bool,
}

/// Takes the address, unless that would let in everybody without anyone having said so.
pub(super) async fn listen(settings: &EdgeSettings, callers: &Callers) -> Result<Door, StartError> {
    let inherited = inherited(settings.listen)?;
    let address = match &inherited {
        Some(listener) => local_addr(listener, settings.listen)?,
        None => settings.listen,
    };
    if callers.is_open() && !address.ip().is_loopback() {
        if !settings.insecure {
            return Err(StartError::Exposed(address));
        }
        tracing::warn!(%address, "INSECURE: everyone who reaches this address may do everything");
    }
    let is_shared = inherited.is_some();
    let listener = match inherited {
        Some(listener) => listener,
        None => TcpListener::bind(address)
            .await
            .map_err(|source| StartError::Listen { address, source })?,
    };
    Ok(Door {
        listener,
        is_shared,
    })
}

/// The listening socket that whoever started this process passed on (`LISTEN_FDS`), so that none of its queue is lost while one
/// process takes over from another.
fn inherited(address: SocketAddr) -> Result<Option<TcpListener>, StartError> {
    let inherited = listenfd::ListenFd::from_env().take_tcp_listener(0);
    let adopt = |listener: std::net::TcpListener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    inherited
        .and_then(|listener| listener.map(adopt).transpose())
        .map_err(|source| StartError::Listen { address, source })
}

fn local_addr(listener: &TcpListener, configured: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen {
        address: configured,
        source,
    })
}

/// With the log in Postgres, the data directory still holds the master key and the built-in providers' ledger.
fn make_data_dir(dir: &Path) -> Result<(), ConfigError> {
    std::fs::create_dir_all(dir).map_err(|error| {
        ConfigError::Unusable(format!(
            "cannot make the data directory {}: {error}",
            dir.display()
        ))
    })
}

pub(super) async fn open_log(
    location: &Location,
    options: Options,
) -> Result<EventStore, OpenError> {
    EventStore::migrate(location).await?;
    EventStore::open(location, options).await
}

/// The connection to the broker, if one is configured. It need not be there.
pub(super) async fn broker(settings: &Settings) -> Result<Option<Broker>, ConfigError> {
    match settings.broker.target()? {
        Some(target) => Broker::connect(&target, "bookmarket").await.map(Some),
        None => Ok(None),
    }
}

/// A shop of one process, and one without a broker, keeps its wake-ups to itself.
pub(super) fn wakeups(settings: &Settings, store: &EventStore, broker: Option<&Broker>) -> Wakeups {
    match broker {
        Some(broker) => {
            let replicas = settings.broker.replicas();
            let limits = wakeups::Limits::default();
            Wakeups::jetstream_of(store.clone(), broker.clone(), replicas, limits)
        }
        None if settings.roles.has(Role::Worker) => Wakeups::local(),
        None => {
            tracing::warn!(
                "without NATS_URL, workers find what this process leaves to them by looking, within seconds"
            );
            Wakeups::nobody()
        }
    }
}

/// Has readers of all processes woken by the appends of any.
pub(super) fn start_hints(store: &EventStore, broker: Option<Broker>, workers: &mut Workers) {
    if let Some(broker) = broker {
        let (announced, stop) = (broker.clone(), workers.stop_token());
        let announcing = hints::announce(store.clone(), announced, stop);
        workers.start("the hints to other processes", ticking(announcing));
        let listening = hints::listen(store.clone(), broker, workers.stop_token());
        workers.start("the hints of other processes", ticking(listening));
    }
}

/// The views, each with a table: a server that is ready answers questions about them, if with nothing.
pub(super) async fn open_views(
    places: &Places,
    store: &EventStore,
) -> Result<Projections, StartError> {
    for place in places.each() {
        Projections::migrate(place.location).await?;
    }
    let projections = Projections::open(places.clone(), store.clone()).await?;
    for view in View::ALL {
        projections.position(view).await?;
    }
    Ok(projections)
}

/// What publishes the log, where that is a role of this process and there is somewhere to.
pub(super) fn relay(
    settings: &Settings,
    store: &EventStore,
    broker: Option<&Broker>,
) -> Option<Relay> {
    let broker = broker.filter(|_| settings.roles.has(Role::Relay))?;
    let stream = settings.broker.stream();
    Some(Relay::new(store.clone(), broker.clone(), stream))
}

/// What goes between processes.
pub(super) struct Bus {
    pub(super) broker: Option<Broker>,
    pub(super) relay: Option<RelayStatus>,
    pub(super) wakeups: Option<Standing>,
}

pub(super) fn assemble(
    settings: &Settings,
    bus: Bus,
    callers: Callers,
    fulfilment: Fulfilment,
    projections: Projections,
    store: EventStore,
    health: Arc<Health>,
) -> Result<Edge, StartError> {
    Ok(Edge::new(Parts {
        gauges: Gauges::new(store.clone(), projections.clone(), fulfilment.clone()),
        reconciler: Reconciler::new(fulfilment.clone(), reconcile::Pace::default()),
        doors: Doors::new(
            settings.providers.webhook_secret()?,
            settings.providers.toss_security_key()?,
        ),
        store,
        projections,
        fulfilment,
        callers: Arc::new(callers),
        health,
        metrics: telemetry::metrics()?,
        rebuilds: Rebuilds::default(),
        defaults: Defaults {
            unit_price: settings.orders.default_unit_price,
            currency: settings.orders.default_currency.to_string(),
        },
        tokens_name_orders: settings.providers.choose()?.payment.is_some(),
        broker: bus.broker,
        relay: bus.relay,
        wakeups: bus.wakeups,
        cancel_budget: settings.orders.cancel_budget,
        places: Arc::new(Semaphore::new(usize::from(settings.edge.max_in_flight))),
        subscribers: Arc::new(Semaphore::new(usize::from(settings.edge.max_subscribers))),
        followers: Seats::new(usize::from(settings.edge.max_subscribers)),
        exports: Arc::new(Semaphore::new(EXPORTS_AT_ONCE)),
        bulk: Arc::new(Semaphore::new(1)),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        cors_origins: settings
            .edge
            .cors_origin
            .iter()
            // Compose files and shells pass "unset" as an empty string.
            .filter(|origin| !origin.is_empty())
            .cloned()
            .collect(),
    }))
}

/// The sagas with their providers behind them.
pub(super) async fn fulfilment(
    settings: &Settings,
    store: &EventStore,
    broker: Option<&Broker>,
    wakeups: &Wakeups,
    sagas: ChooseSagas,
    workers: &mut Workers,
) -> Result<Fulfilment, StartError> {
    make_data_dir(&settings.store.data_dir)?;
    let vault = Vault::open(store, &settings.store.master_key()).await?;
    let orders = &settings.orders;
    let (providers, scans) = providers::choose(settings, broker)?;
    let parts = fulfilment::Parts {
        store: store.clone(),
        vault,
        providers,
        limits: Limits {
            call: settings.guards.call_limit(),
            payments: usize::from(settings.guards.provider_concurrency),
            steps: settings.guards.step_concurrency(broker.is_some()),
            payment_budget: orders.payment_budget,
            payment_deadline: orders.payment_deadline,
            message_budget: orders.message_budget,
            ..Limits::default()
        },
        guard: settings.guards.policy(),
    };
    let options = engine::Options {
        begins: begins(&settings.roles),
        dispatch: Some(Arc::new(wakeups.clone())),
        ..engine::Options::default()
    };
    let fulfilment = Fulfilment::with_sagas(parts, options, sagas)?;
    if let Some(scans) = scans {
        let (listener, stop) = (fulfilment.clone(), workers.stop_token());
        workers.start("the carrier's hints", async move {
            let hints = ticking(listener.follow_scans(scans));
            stop.run_until_cancelled(hints).await;
        });
    }
    Ok(fulfilment)
}

/// A customer waits for the payment, so whoever took the order charges for it; the rest is the workers'.
fn begins(roles: &RoleSettings) -> Begins {
    if roles.has(Role::Worker) {
        Begins::All
    } else if roles.has(Role::Api) {
        Begins::Only(fulfilment::IN_REQUESTS)
    } else {
        Begins::Only(&[])
    }
}

pub(super) fn start_workers(settings: &Settings, edge: &Edge, workers: &mut Workers) {
    edge.fulfilment.look_up_parcels_in(edge.projections.clone());
    if settings.roles.has(Role::Projector) {
        for view in View::ALL {
            let (projections, stop) = (edge.projections.clone(), workers.stop_token());
            workers.start(format!("the projection of the view {view}"), async move {
                projections.run(view, stop).await
            });
        }
    }
    if settings.roles.has(Role::Worker) {
        start_sweeper(edge, workers);
        start_reconciler(edge, settings.providers.reconcile_every, workers);
    }
    start_upkeep(edge, workers);
}

/// Pulls wake-ups until it is told to stop, which is before the other workers are.
pub(super) fn attend(
    edge: &Edge,
    wakeups: Wakeups,
    stop: CancellationToken,
    workers: &mut Workers,
) {
    let engine = edge.fulfilment.engine().clone();
    let attending = attendant::attend(engine, wakeups, edge.fulfilment.limits().steps, stop);
    workers.start("the attendant of wake-ups", ticking(attending));
}

fn start_sweeper(edge: &Edge, workers: &mut Workers) {
    let index = SagaViewIndex::new(edge.projections.clone(), edge.store.clone());
    let engine = edge.fulfilment.engine().clone();
    let sweeper = Sweeper::new(edge.store.clone(), engine, Arc::new(index), Pace::default());
    workers.start("the sweeper", sweeper.run(workers.stop_token()));
}

fn start_reconciler(edge: &Edge, every: Duration, workers: &mut Workers) {
    if !every.is_zero() {
        let (reconciler, stop) = (edge.reconciler.clone(), workers.stop_token());
        let comparing = reconciler.keep(every, stop);
        workers.start("the reconciler", ticking(comparing));
    }
}

fn start_upkeep(edge: &Edge, workers: &mut Workers) {
    let (metrics, stop) = (edge.metrics.clone(), workers.stop_token());
    workers.start("the metrics upkeep", async move {
        while timeout(METRICS_UPKEEP, stop.cancelled()).await.is_err() {
            metrics.run_upkeep();
        }
    });
    let watch = clocks::watch(edge.store.clone(), workers.stop_token());
    workers.start("the watch over the clock", ticking(watch));
}
