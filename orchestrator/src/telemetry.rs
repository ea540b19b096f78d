//! Log lines on stderr and the metrics recorder.

use std::io::IsTerminal;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogFormat, LogSettings};

/// Upper bounds, in seconds, of the buckets of every duration histogram: from one group commit (about a
/// millisecond) to the longest wait a request may ask for (30 s).
const DURATION_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Sends log lines to stderr, so that stdout stays data.
///
/// `default` is the filter when none is configured: a server talks at `info`, a command only at `warn`.
pub fn install_log(settings: &LogSettings, default: &str) -> Result<(), ConfigError> {
    let wanted = settings
        .log
        .as_deref()
        .filter(|text| !text.trim().is_empty())
        .unwrap_or(default);
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        ConfigError::Unusable(format!("--log {wanted:?} is not a log filter: {error}"))
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let installed = match settings.log_format {
        LogFormat::Compact => lines
            .compact()
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    installed
        .map_err(|error| ConfigError::Unusable(format!("the log is already installed: {error}")))
}

/// The process's metrics, installed on first use.
///
/// One recorder per process is a rule of the `metrics` facade; tests that run several servers in one process
/// share it.
pub fn metrics() -> Result<PrometheusHandle, ConfigError> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    HANDLE
        .get_or_init(install_recorder)
        .clone()
        .map_err(ConfigError::Unusable)
}

fn install_recorder() -> Result<PrometheusHandle, String> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| format!("the metrics recorder cannot be installed: {error}"))
}
