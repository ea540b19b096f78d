//! `demo`: a server of its own, orders of every kind through its API, and a table that the log vouches for.

mod look;
mod place;
mod plan;
mod verify;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum as _;
use uuid::Uuid;

use super::args::DemoArgs;
use super::client::Client;
use super::interrupt::{Dismissal, INTERRUPTED};
use super::{output, serve};
use crate::app::{App, StartError};
use crate::config::Settings;
use crate::config::providers::ProviderSettings;
use crate::config::roles::Role;
use place::Told;

/// The demo's parcels leave soon, so that there is something to see, but not before those to be canceled are.
const HANDOVER_AFTER: Duration = Duration::from_secs(12);

/// And arrive soon after.
const DELIVERY_AFTER: Duration = Duration::from_secs(4);

/// Runs the demo; then serves on, unless told to end.
pub(super) async fn run(mut settings: Settings, args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut dismissal = Dismissal::listen()?;
    let folder = Folder::choose(&args)?;
    isolate(&mut settings, &folder);
    let app = start(&mut settings).await?;
    let good = tokio::select! {
        shown = show(&app, &settings, args.orders) => shown?,
        () = dismissal.asked() => {
            serve::conclude(app.stop().await)?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let code = if args.exit {
        serve::conclude(app.stop().await)?
    } else {
        invite(&app);
        serve::finish(app, dismissal).await?
    };
    Ok(if good { code } else { ExitCode::FAILURE })
}

/// Places that many orders, shows them to the end, and whether the log vouches for the table.
async fn show(app: &App, settings: &Settings, orders: u32) -> anyhow::Result<bool> {
    let client = Client::new(&app.url(), None)?;
    output::note(format!(
        "Book Market serves on {} with a store of its own in {}",
        app.url(),
        settings.store.data_dir.display()
    ));
    let told = Arc::new(Told::default());
    place::all(&client, &plan::of(orders), &told).await?;
    look::until_settled(app, &told).await?;
    verify::report(app, &told, &settings.store.data_dir, settings.client.output).await
}

/// Shows where to look.
fn invite(app: &App) {
    let url = app.url();
    output::note(format!(
        "Look around:\n  {url}/docs       every address, to try out\n  {url}/mypages    what customers see\n  \
         {url}/sagas      what is under way\n  {url}/events     everything that happened\nCtrl-C ends it."
    ));
}

/// Never the store of real orders, its broker nor real providers, whatever the environment says; never open to others.
fn isolate(settings: &mut Settings, folder: &Folder) {
    settings.store.database_url = None;
    settings.store.database_url_file = None;
    settings.store.customer_view_url = None;
    settings.store.customer_view_url_file = None;
    settings.store.message_view_url = None;
    settings.store.message_view_url_file = None;
    settings.store.master_key_file = None;
    settings.store.data_dir.clone_from(&folder.path);
    // A shop's broker would carry the demo's events, and hand it the shop's wake-ups.
    settings.broker.nats_url = None;
    settings.broker.nats_url_file = None;
    settings.broker.external_steps.clear();
    settings.roles.given = Role::value_variants().to_vec();
    settings.edge.api_tokens = None;
    settings.edge.insecure = false;
    settings.providers = ProviderSettings::default();
    settings.orders.simulated_handover_after = HANDOVER_AFTER;
    settings.orders.simulated_delivery_after = DELIVERY_AFTER;
    if !settings.edge.listen.ip().is_loopback() {
        settings.edge.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.edge.listen.port()));
    }
}

/// Starts the server; on any free port if the usual one is taken, perhaps by a real server.
async fn start(settings: &mut Settings) -> anyhow::Result<App> {
    match App::start(settings).await {
        Err(StartError::Listen { address, .. }) => {
            output::note(format!("{address} is taken; using another port"));
            settings.edge.listen.set_port(0);
            Ok(App::start(settings).await?)
        }
        other => Ok(other?),
    }
}

/// Where the demo's data is.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn choose(args: &DemoArgs) -> anyhow::Result<Folder> {
        if let Some(path) = &args.keep {
            return Ok(Folder {
                path: path.clone(),
                temporary: false,
            });
        }
        let path =
            std::env::temp_dir().join(format!("bookmarket-demo-{}", Uuid::now_v7().simple()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder {
            path,
            temporary: true,
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // Left behind in the system's temporary directory, it is the system's to clean.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
