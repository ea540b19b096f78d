//! `simulate`: the providers as a process of their own.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;

use super::args::SimulateArgs;
use super::interrupt::Dismissal;
use crate::config::Settings;
use crate::providers::simulator::{Options, ledger, wire};

/// Serves until a signal asks it to stop.
pub(super) async fn run(settings: &Settings, args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let mut dismissal = Dismissal::listen()?;
    let ledger = args
        .ledger
        .unwrap_or_else(|| settings.store.data_dir.join(ledger::FILE_NAME));
    if let Some(dir) = ledger.parent() {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the directory {}", dir.display()))?;
    }
    let secret = args.webhook_secret;
    let setup = wire::Setup {
        simulator: Options {
            ledger,
            handover_after: settings.orders.simulated_handover_after,
            delivery_after: settings.orders.simulated_delivery_after,
            ..Options::in_dir(&settings.store.data_dir)
        },
        shop: args.webhook_url.map(|url| wire::Shop { url, secret }),
        presets: args.preset,
    };
    let address = settings.edge.listen;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let server = wire::Server::start(&setup, listener)?;
    tracing::info!(url = server.url(), "simulating the providers");
    dismissal.asked().await;
    tracing::info!("stopping: no new requests; finishing what is in flight");
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}
