//! Makes the parts of a server from its settings, and starts their loops.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{EventStore, Location, OpenError, Options, Vault};
use projections::{Projections, View};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::config::{ConfigError, EdgeSettings, Settings};
use crate::fulfilment::limits::Limits;
use crate::fulfilment::participants::Providers;
use crate::fulfilment::{self, Fulfilment};
use crate::http::auth::Callers;
use crate::http::gauges::Gauges;
use crate::http::health::{Health, ticking};
use crate::http::orders::Defaults;
use crate::http::rebuilds::Rebuilds;
use crate::http::state::{Edge, Parts};
use crate::providers::breaker::Policy;
use crate::providers::simulator::{self, Simulator};
use crate::saga::engine;
use crate::saga::sweeper::{Pace, Sweeper};
use crate::saga_index::SagaViewIndex;
use crate::telemetry;
use crate::workers::Workers;

/// How often the metrics recorder folds what was measured; without it memory grows with every measurement.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Takes the address, unless that would let in everybody without anyone having said so.
pub(super) async fn listen(
    settings: &EdgeSettings,
    callers: &Callers,
) -> Result<TcpListener, StartError> {
    let address = settings.listen;
    if callers.is_open() && !address.ip().is_loopback() {
        if !settings.insecure {
            return Err(StartError::Exposed(address));
        }
        tracing::warn!(%address, "INSECURE: everyone who reaches this address may do everything");
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
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

/// The views, each with a table: a server that is ready answers questions about them, if with nothing.
pub(super) async fn open_views(
    location: &Location,
    store: &EventStore,
) -> Result<Projections, StartError> {
    Projections::migrate(location).await?;
    let projections = Projections::open(location, store.clone()).await?;
    for view in View::ALL {
        projections.position(view).await?;
    }
    Ok(projections)
}

pub(super) fn assemble(
    settings: &Settings,
    callers: Callers,
    fulfilment: Fulfilment,
    projections: Projections,
    store: EventStore,
    health: Arc<Health>,
) -> Result<Edge, StartError> {
    Ok(Edge::new(Parts {
        gauges: Gauges::new(
            store.clone(),
            projections.clone(),
            fulfilment.engine().clone(),
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
        cancel_budget: settings.orders.cancel_budget,
        places: Arc::new(Semaphore::new(usize::from(settings.edge.max_in_flight))),
        subscribers: Arc::new(Semaphore::new(usize::from(settings.edge.max_subscribers))),
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

/// The sagas with the built-in providers behind them.
pub(super) async fn fulfilment(
    settings: &Settings,
    store: &EventStore,
    workers: &mut Workers,
) -> Result<Fulfilment, StartError> {
    make_data_dir(&settings.store.data_dir)?;
    let vault = Vault::open(store, &settings.store.master_key()).await?;
    let orders = &settings.orders;
    let (simulator, scans) = Simulator::open(&simulator::Options {
        handover_after: orders.simulated_handover_after,
        delivery_after: orders.simulated_delivery_after,
        ..simulator::Options::in_dir(&settings.store.data_dir)
    })?;
    let simulator = Arc::new(simulator);
    let parts = fulfilment::Parts {
        store: store.clone(),
        vault,
        providers: Providers {
            payments: Arc::clone(&simulator) as _,
            carrier: Arc::clone(&simulator) as _,
            kakao: simulator,
        },
        limits: Limits {
            payment_budget: orders.payment_budget,
            payment_deadline: orders.payment_deadline,
            ..Limits::default()
        },
        breakers: Policy::default(),
    };
    let fulfilment = Fulfilment::new(parts, engine::Options::default())?;
    let (listener, stop) = (fulfilment.clone(), workers.stop_token());
    workers.start("the carrier's hints", async move {
        let hints = ticking(listener.follow_scans(scans));
        stop.run_until_cancelled(hints).await;
    });
    Ok(fulfilment)
}

pub(super) fn start_workers(edge: &Edge, workers: &mut Workers) {
    for view in View::ALL {
        let (projections, stop) = (edge.projections.clone(), workers.stop_token());
        workers.start(format!("the projection of the view {view}"), async move {
            projections.run(view, stop).await
        });
    }
    let index = SagaViewIndex::new(edge.projections.clone(), edge.store.clone());
    let engine = edge.fulfilment.engine().clone();
    let sweeper = Sweeper::new(edge.store.clone(), engine, Arc::new(index), Pace::default());
    workers.start("the sweeper", sweeper.run(workers.stop_token()));
    let (metrics, stop) = (edge.metrics.clone(), workers.stop_token());
    workers.start("the metrics upkeep", async move {
        while timeout(METRICS_UPKEEP, stop.cancelled()).await.is_err() {
            metrics.run_upkeep();
        }
    });
}
