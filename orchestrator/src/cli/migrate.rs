//! `migrate`: brings the tables of the log and of the views up to this version.

use anyhow::Context;
use eventstore::{EventStore, Location, MigrationReport};
use projections::Projections;
use serde_json::json;
use uuid::Uuid;

use super::args::store::MigrateArgs;
use super::{output, store};
use crate::config::Settings;

/// Migrates, and relabels the log if asked to.
pub(super) async fn run(settings: &Settings, args: &MigrateArgs) -> anyhow::Result<()> {
    let places = settings.store.places()?;
    let mut reports = vec![("log", EventStore::migrate(&places.log).await?)];
    for place in places.each() {
        reports.push((place.name(), Projections::migrate(place.location).await?));
    }
    let epoch = match args.new_epoch {
        true => Some(renew_epoch(&places.log).await?),
        false => None,
    };
    let of =
        |report: &MigrationReport| json!({ "applied": report.applied, "version": report.version });
    let mut document: serde_json::Map<_, _> = reports
        .iter()
        .map(|(name, report)| ((*name).to_owned(), of(report)))
        .collect();
    if let Some(epoch) = epoch {
        document.insert("epoch".to_owned(), json!(epoch));
    }
    output::document(settings.client.output, &document, || {
        let mut table = output::table(&["tables", "schema", "applied now"]);
        for (name, report) in &reports {
            let schema = report.version.to_string();
            table.add_row([*name, &schema, &report.applied.join("\n")]);
        }
        table
    })?;
    if let Some(epoch) = epoch {
        output::note(format!("the log is of epoch {epoch} now"));
    }
    Ok(())
}

async fn renew_epoch(location: &Location) -> anyhow::Result<Uuid> {
    let store = store::existing(location).await?;
    let store = store.context("a server holds the store: stop it first")?;
    Ok(store.renew_epoch().await?)
}
