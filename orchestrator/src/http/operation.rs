//! `/livez`, `/readyz`, `/metrics`: for whoever runs the process. No token, no admission limit.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::Phase;
use super::state::Edge;

/// How long the store may take to answer before the process counts as not ready. Probes usually wait a second or
/// two themselves.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// How a process is
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthReport {
    /// `ok` or what is wrong
    status: &'static str,
    /// Loops that were not run for longer than they may
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stuck: Vec<String>,
}

impl HealthReport {
    fn answer(self, code: StatusCode) -> Response {
        (code, [(header::CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}

/// Is the process alive?
///
/// Red when one of its loops is stuck: restart it then.
#[utoipa::path(get, path = "/livez", tag = "operation", security(()),
    responses((status = 200, description = "Alive", body = HealthReport),
        (status = 503, description = "A loop is stuck", body = HealthReport)))]
pub async fn livez(State(edge): State<Edge>) -> Response {
    let stuck = edge.health.stuck();
    if stuck.is_empty() {
        return HealthReport {
            status: "ok",
            stuck,
        }
        .answer(StatusCode::OK);
    }
    HealthReport {
        status: "stuck",
        stuck,
    }
    .answer(StatusCode::SERVICE_UNAVAILABLE)
}

/// Can it take requests?
///
/// Red while it starts or stops and while its store does not answer: send requests elsewhere then.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),
    responses((status = 200, description = "Ready", body = HealthReport),
        (status = 503, description = "Not ready", body = HealthReport)))]
pub async fn readyz(State(edge): State<Edge>) -> Response {
    let status = match edge.health.phase() {
        Phase::Starting => "starting",
        Phase::Draining => "shutting-down",
        Phase::Ready if !store_answers(&edge).await => "store-unavailable",
        Phase::Ready => {
            return HealthReport {
                status: "ok",
                stuck: Vec::new(),
            }
            .answer(StatusCode::OK);
        }
    };
    HealthReport {
        status,
        stuck: Vec::new(),
    }
    .answer(StatusCode::SERVICE_UNAVAILABLE)
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
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], edge.metrics.render()).into_response()
}
