//! `replay`: folds views anew from the log, here or in the server that holds the embedded store.

use std::time::{Duration, Instant};

use anyhow::Context;
use eventstore::{EventStore, Location};
use indicatif::{ProgressBar, ProgressStyle};
use projections::{Projections, View};
use serde_json::{Value, json};

use super::args::ReplayView;
use super::client::Client;
use super::{output, store};
use crate::app;
use crate::config::Settings;

/// How often a server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// One finished rebuild.
struct Rebuilt {
    view: &'static str,
    events: u64,
    seconds: f64,
}

/// Rebuilds the views and prints what was done.
pub(super) async fn run(settings: &Settings, views: ReplayView) -> anyhow::Result<()> {
    let location = settings.store.location()?;
    let done = match store::existing(&location).await? {
        Some(store) => here(&location, store, views).await?,
        None => there(settings, views).await?,
    };
    let rows: Vec<Value> = done
        .iter()
        .map(|done| json!({ "view": done.view, "events": done.events, "seconds": done.seconds }))
        .collect();
    output::document(settings.client.output, &rows, || {
        let mut table = output::table(&["view", "events", "seconds", "events/s"]);
        for done in &done {
            let rate = done.events as f64 / done.seconds.max(0.001);
            table.add_row([
                done.view.to_owned(),
                done.events.to_string(),
                format!("{:.1}", done.seconds),
                format!("{rate:.0}"),
            ]);
        }
        table
    })?;
    Ok(())
}

async fn here(
    location: &Location,
    store: EventStore,
    views: ReplayView,
) -> anyhow::Result<Vec<Rebuilt>> {
    Projections::migrate(location).await?;
    let projections = Projections::open(location, store).await?;
    let mut done = Vec::new();
    for name in views.names() {
        let view: View = name.parse()?;
        let bar = bar(name);
        let started = Instant::now();
        let report = projections
            .rebuild(view, |progress| {
                show(&bar, progress.position.0, progress.total.0)
            })
            .await
            .with_context(|| format!("the view {name} could not be rebuilt"))?;
        bar.finish_and_clear();
        let events = u64::try_from(report.events).unwrap_or_default();
        done.push(Rebuilt {
            view: name,
            events,
            seconds: started.elapsed().as_secs_f64(),
        });
    }
    Ok(done)
}

/// Asks the server that holds the directory.
async fn there(settings: &Settings, views: ReplayView) -> anyhow::Result<Vec<Rebuilt>> {
    let server =
        app::server_of(&settings.store.data_dir).unwrap_or_else(|| settings.client.server.clone());
    let client = Client::new(&server, settings.client.token()?)?;
    output::note(format!("the store is in use; asking {server} to rebuild"));
    let mut done = Vec::new();
    for name in views.names() {
        let bar = bar(name);
        let started = Instant::now();
        client
            .post(&format!("/projections/{name}/rebuild"), &json!({}))
            .await?;
        let events = watch(&client, name, &bar).await?;
        bar.finish_and_clear();
        done.push(Rebuilt {
            view: name,
            events,
            seconds: started.elapsed().as_secs_f64(),
        });
    }
    Ok(done)
}

/// Shows the progress of a rebuild in a server until it has ended; returns how many events it took.
async fn watch(client: &Client, name: &str, bar: &ProgressBar) -> anyhow::Result<u64> {
    loop {
        let status = client.get(&format!("/projections/{name}")).await?.body;
        let last = status.get("lastRebuild").unwrap_or(&Value::Null);
        match last.get("state").and_then(Value::as_str) {
            Some("done") => {
                return Ok(last
                    .get("events")
                    .and_then(Value::as_u64)
                    .unwrap_or_default());
            }
            Some("failed") => {
                let why = last
                    .get("error")
                    .and_then(Value::as_str)
                    .unwrap_or("the server does not say why");
                anyhow::bail!("the view {name} could not be rebuilt: {why}");
            }
            _ => {}
        }
        if let Some(progress) = status
            .pointer("/projection/rebuild")
            .filter(|progress| progress.is_object())
        {
            let number = |field: &str| {
                progress
                    .get(field)
                    .and_then(Value::as_i64)
                    .unwrap_or_default()
            };
            show(bar, number("position"), number("total"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn bar(name: &str) -> ProgressBar {
    let template = "{prefix:>8} {wide_bar} {pos}/{len} events  {per_sec}  {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0)
        .with_style(style)
        .with_prefix(name.to_owned())
}

fn show(bar: &ProgressBar, position: i64, total: i64) {
    bar.set_length(u64::try_from(total).unwrap_or_default());
    bar.set_position(u64::try_from(position).unwrap_or_default());
}
