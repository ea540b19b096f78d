//! `serve`: the server as a process of its own.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Ended};
use crate::config::Settings;

/// Serves until a signal asks it to stop, or until a part of it dies.
pub(super) async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let app = App::start(settings).await?;
    tracing::info!(url = app.url(), store = app.store_name(), "serving");
    finish(app).await
}

/// Waits for the end and carries it out in order.
pub(super) async fn finish(mut app: App) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let died = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        part = app.died() => Some(part),
    };
    tracing::info!("stopping: no new requests; finishing what is in flight");
    let ended = app.stop().await;
    if let Some(part) = died {
        anyhow::bail!("{part} ended unexpectedly; the log says why");
    }
    match ended {
        Ended::InOrder => Ok(ExitCode::SUCCESS),
        Ended::Cut(what) => {
            anyhow::bail!("stopped, but not everything in flight was finished: {what}")
        }
    }
}
