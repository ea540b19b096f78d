//! The command line.

pub mod args;
pub mod client;
mod demo;
mod doctor;
mod erase;
mod events;
mod import;
mod import_line;
mod interrupt;
mod log;
mod migrate;
mod orders;
pub mod output;
mod preflight;
pub mod projections;
mod reconcile;
pub mod replay;
mod sagas;
mod serve;
mod simulate;
mod store;

use std::process::ExitCode;

use args::{Cli, Command, OrdersCommand};
use clap::error::ErrorKind;
use client::Client;
use eventstore::Location;

use crate::bench;
use crate::config::{Output, Settings};
use crate::telemetry;

/// Carries out one command line.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { settings, command } = cli;
    let command = command.unwrap_or(Command::Serve);
    let default_log = if matches!(command, Command::Serve | Command::Simulate(_)) {
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
        Command::Reconcile(args) => reconcile::run(&client()?, args, output).await?,
        Command::Sagas(command) => return sagas::run(&client()?, command, output).await,
        Command::Projections(command) => {
            return projections::run(&client()?, command, output).await;
        }
        Command::Replay(args) => return replay::run(&settings, &args).await,
        Command::Preflight => return preflight::run(&settings).await,
        Command::Migrate(args) => migrate::run(&settings, &args).await?,
        Command::Log(command) => return log::run(&settings, command).await,
        Command::Bench(command) => measure(&settings, command).await?,
        Command::Simulate(args) => return simulate::run(&settings, args).await,
        Command::Doctor => return doctor::run(&settings).await,
    }
    Ok(ExitCode::SUCCESS)
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

/// Ends the process because of its arguments: with the help that was asked for, or in one line as after any other mistake.
#[must_use]
pub fn explain(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        output::note(essence(&error.render().to_string()));
    } else {
        // A reader of our output that has seen enough is no failure.
        drop(error.print());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

/// What clap says over several lines, without the usage, which `--help` shows.
fn essence(rendered: &str) -> String {
    let lines = rendered.lines().map(str::trim);
    let telling = lines.take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let telling: Vec<&str> = telling.filter(|line| !line.is_empty()).collect();
    telling.join(" ")
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
