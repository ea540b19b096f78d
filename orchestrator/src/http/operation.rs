//! `/livez`, `/readyz`, `/metrics`: for whoever runs the process. No token, no admission limit.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use projections::{LagReason, ProjectionStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::Phase;
use super::state::Edge;
use crate::bus::connection::Broker;
use crate::bus::jetstream::{QueueReport, Standing};
use crate::bus::relay::status::{RelayReport, RelayStatus};
use crate::providers::guard::{Position, Reading};

/// How long the store may take to answer before the process counts as not ready. Probes usually wait a second or
/// two themselves.
pub(super) const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// How a process is
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthReport {
    /// `ok` or what is wrong
    status: &'static str,
    /// Parts of the process that have ended, and loops that were not run for longer than they may
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stuck: Vec<String>,
    /// How the providers do. One that is away makes no process unready: every other process sees the same, most requests
    /// need no provider, and those that do are told when to come again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    providers: Vec<ProviderReport>,
    /// How the broker between processes does, if there is one. One that is away makes no process unready: orders are taken and
    /// paid without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<BrokerReport>,
    /// How far the views are and why, where that could be asked in time. One that is behind makes no process unready: every other
    /// process shows the same rows, and says how old they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    projections: Vec<ProjectionReport>,
}

/// How far a view is
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionReport {
    /// `customer`, `message` or `saga`
    view: &'static str,
    /// Positions that it is behind the log
    lag: i64,
    /// How long the first event that it has not taken has been in the log
    lag_seconds: f64,
    /// `catching-up`, `rebuilding`, `parked-keys`, `paused`, `stopped`, `failing`, `no-owner` or `store-unreachable`, if it does not show the whole log
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_reason: Option<&'static str>,
    /// Keys that stand still
    parked_keys: u64,
}

impl From<ProjectionStatus> for ProjectionReport {
    fn from(status: ProjectionStatus) -> ProjectionReport {
        ProjectionReport {
            view: status.name,
            lag: status.lag,
            lag_seconds: status.lag_seconds,
            lag_reason: status.lag_reason.map(LagReason::as_str),
            parked_keys: status.parked_keys,
        }
    }
}

/// How the broker does, as this process sees it
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerReport {
    /// Whether it is there
    connected: bool,
    /// Version of the server that was last spoken to
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// How many times messages were dropped because this process read too slowly
    slow_consumers: u64,
    /// What this process does to publish the log, if that is one of its roles
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<RelayReport>,
    /// Whether wake-ups of sagas get through
    #[serde(skip_serializing_if = "Option::is_none")]
    wakeups: Option<QueueReport>,
}

impl BrokerReport {
    fn of(broker: &Broker, edge: &Edge) -> BrokerReport {
        BrokerReport {
            relay: edge.relay.as_ref().map(RelayStatus::report),
            wakeups: edge.wakeups.as_ref().map(Standing::report),
            connected: broker.is_connected(),
            version: broker.server_version(),
            slow_consumers: broker.slow_consumers(),
        }
    }
}

/// How a provider does, as this process sees it
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderReport {
    /// `payment`, `carrier`, `tracking` or `kakao`
    provider: &'static str,
    /// `closed`: it is called; `open`: it is left alone; `half-open`: a few calls try whether it is back
    breaker: &'static str,
    /// While it is left alone: milliseconds until the next try
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
    /// Calls in flight
    in_flight: usize,
    /// Calls that may be in flight
    in_flight_max: usize,
}

impl ProviderReport {
    fn of((provider, reading): (&'static str, Reading)) -> ProviderReport {
        ProviderReport {
            provider,
            breaker: match reading.position {
                Position::Closed => "closed",
                Position::Open => "open",
                Position::HalfOpen => "half-open",
            },
            retry_in_ms: reading
                .opens_in
                .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            in_flight: reading.in_flight,
            in_flight_max: reading.concurrency,
        }
    }
}

impl HealthReport {
    fn new(status: &'static str) -> HealthReport {
        HealthReport {
            status,
            stuck: Vec::new(),
            providers: Vec::new(),
            broker: None,
            projections: Vec::new(),
        }
    }

    fn answer(self, code: StatusCode) -> Response {
        (code, [(header::CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}

/// Is the process alive?
///
/// Red when one of its parts is stuck or has ended, which none of them gets over: restart it then.
#[utoipa::path(get, path = "/livez", tag = "operation", security(()),
    responses((status = 200, description = "Alive", body = HealthReport),
        (status = 503, description = "A part is stuck or has ended", body = HealthReport)))]
pub async fn livez(State(edge): State<Edge>) -> Response {
    let stuck = edge.faulty();
    if stuck.is_empty() {
        return HealthReport::new("ok").answer(StatusCode::OK);
    }
    HealthReport {
        stuck,
        ..HealthReport::new("stuck")
    }
    .answer(StatusCode::SERVICE_UNAVAILABLE)
}

/// Can it take requests?
///
/// Red while it starts or stops, while its store does not answer, and when a part of it is stuck or has ended: send requests
/// elsewhere then. A provider or a broker that is away, or a view that is behind, is told but changes nothing.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),
    responses((status = 200, description = "Ready", body = HealthReport),
        (status = 503, description = "Not ready", body = HealthReport)))]
pub async fn readyz(State(edge): State<Edge>) -> Response {
    let stuck = edge.faulty();
    let (answers, projections) = tokio::join!(store_answers(&edge), lags(&edge));
    let (status, code) = match edge.health.phase() {
        Phase::Starting => ("starting", StatusCode::SERVICE_UNAVAILABLE),
        Phase::Draining => ("shutting-down", StatusCode::SERVICE_UNAVAILABLE),
        Phase::Ready if !stuck.is_empty() => ("stuck", StatusCode::SERVICE_UNAVAILABLE),
        Phase::Ready if !answers => ("store-unavailable", StatusCode::SERVICE_UNAVAILABLE),
        Phase::Ready => ("ok", StatusCode::OK),
    };
    let readings = edge.fulfilment.guards().readings();
    let broker = edge.broker.as_ref();
    HealthReport {
        stuck,
        providers: readings.map(ProviderReport::of).collect(),
        broker: broker.map(|broker| BrokerReport::of(broker, &edge)),
        projections,
        ..HealthReport::new(status)
    }
    .answer(code)
}

/// How far the views are; nothing where that takes too long to find out.
async fn lags(edge: &Edge) -> Vec<ProjectionReport> {
    let asked = tokio::time::timeout(STORE_ANSWERS_WITHIN, edge.projections.lags()).await;
    let lags = asked.ok().and_then(Result::ok).unwrap_or_default();
    lags.into_iter().map(ProjectionReport::from).collect()
}

async fn store_answers(edge: &Edge) -> bool {
    matches!(
        tokio::time::timeout(STORE_ANSWERS_WITHIN, edge.store.head()).await,
        Ok(Ok(_))
    )
}

/// Measurements, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "operation", security(()),
    responses((status = 200, description = "Prometheus text format", content_type = "text/plain")))]
pub async fn metrics(State(edge): State<Edge>) -> Response {
    const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
    edge.gauges.refresh().await;
    if let Some(wakeups) = &edge.wakeups {
        drop(wakeups.report());
    }
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], edge.metrics.render()).into_response()
}
