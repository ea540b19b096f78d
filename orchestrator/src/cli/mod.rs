//! The command line.

pub mod args;
pub mod client;
mod demo;
mod doctor;
mod erase;
mod events;
mod import;
mod import_line;
mod orders;
pub mod output;
mod replay;
mod sagas;
mod serve;
mod store;

use std::process::ExitCode;

use args::{Cli, Command, OrdersCommand};
use client::Client;
use eventstore::{EventStore, Location};
use projections::Projections;

use crate::bench;
use crate::config::{Output, Settings};
use crate::telemetry;

/// Carries out one command line.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { settings, command } = cli;
    let command = command.unwrap_or(Command::Serve);
    let default_log = if matches!(command, Command::Serve) {
        "info,refinery_core=warn,tokio_postgres=warn"
    } else {
        "warn"
    };
    telemetry::install_log(&settings.log, default_log)?;
    let output = settings.client.output;
    let client = || Client::from_settings(&settings.client);
    match command {
        Command::Serve => return serve::run(&settings).await,
        Command::Demo(args) => return demo::run(settings, args).await,
        Command::Erase(args) => erase::run(&settings, &args).await?,
        Command::Orders(OrdersCommand::Import(args)) => {
            return import::run(client()?, args, output).await;
        }
        Command::Orders(OrdersCommand::Show { order }) => {
            orders::show(&client()?, order, output).await?
        }
        Command::Orders(OrdersCommand::Cancel { order, reason }) => {
            orders::cancel(&client()?, order, reason, output).await?;
        }
        Command::Events(args) => events::run(&client()?, args, output).await?,
        Command::Sagas(command) => sagas::run(&client()?, command, output).await?,
        Command::Replay(args) => replay::run(&settings, args.view).await?,
        Command::Migrate => migrate(&settings).await?,
        Command::Bench(command) => measure(&settings, command).await?,
        Command::Doctor => return doctor::run(&settings).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings the tables of the log and of the views up to this version.
async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let location = settings.store.location()?;
    let report = EventStore::migrate(&location).await?;
    Projections::migrate(&location).await?;
    let document = serde_json::json!({ "applied": report.applied, "version": report.version });
    output::document(settings.client.output, &document, || {
        let mut table = output::table(&["schema", "applied now"]);
        table.add_row([report.version.to_string(), report.applied.join("\n")]);
        table
    })?;
    Ok(())
}

/// Benches compare with Postgres, so they need one.
async fn measure(settings: &Settings, command: bench::Command) -> anyhow::Result<()> {
    match settings.store.location()? {
        Location::Postgres { url } => {
            command
                .run(&url, settings.client.output == Output::Json)
                .await
        }
        Location::Sqlite { .. } => {
            anyhow::bail!(
                "a bench needs a Postgres server: give --database-url; it makes a database of its own there"
            )
        }
    }
}

/// Ends the process in one line. A reader of our output that has seen enough is no failure.
#[must_use]
pub fn report(result: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    output::note(format!("error: {}", one_line(&error)));
    ExitCode::FAILURE
}

/// The error and its causes, each said once: some errors repeat their cause in their own text.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.replace('\n', " "));
    }
    text
}
