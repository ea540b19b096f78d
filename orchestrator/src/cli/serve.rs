//! `serve`: the server as a process of its own.

use std::process::ExitCode;

use super::interrupt::Dismissal;
use crate::app::{App, Ended};
use crate::config::Settings;

/// Serves until a signal asks it to stop, or until a part of it dies.
pub(super) async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut dismissal = Dismissal::listen()?;
    let app = tokio::select! {
        app = App::start(settings) => app?,
        () = dismissal.asked() => {
            tracing::info!("asked to stop before anything was served");
            return Ok(ExitCode::SUCCESS);
        }
    };
    tracing::info!(url = app.url(), store = app.store_name(), "serving");
    finish(app, dismissal).await
}

/// Waits for the end and carries it out in order.
pub(super) async fn finish(mut app: App, mut dismissal: Dismissal) -> anyhow::Result<ExitCode> {
    let died = tokio::select! {
        () = dismissal.asked() => None,
        part = app.died() => Some(part),
    };
    tracing::info!("stopping: no new requests; finishing what is in flight");
    let ended = app.stop().await;
    if let Some(part) = died {
        anyhow::bail!("{part} ended unexpectedly; the log says why");
    }
    conclude(ended)
}

/// What it means that a server ended so.
pub(super) fn conclude(ended: Ended) -> anyhow::Result<ExitCode> {
    match ended {
        Ended::InOrder => Ok(ExitCode::SUCCESS),
        Ended::Cut(what) => {
            anyhow::bail!("stopped, but not everything in flight was finished: {what}")
        }
    }
}
