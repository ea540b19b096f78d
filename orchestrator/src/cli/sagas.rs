//! `sagas`: lists, shows and repairs sagas.

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::args::{ResolvedAs, SagasCommand, VerbArgs};
use super::client::Client;
use super::orders::{details, plain};
use super::output;
use crate::config::Output;
use crate::http::hal::escape;

/// Columns of the list, as they are named on the wire.
const COLUMNS: [&str; 9] = [
    "sagaId",
    "saga",
    "status",
    "step",
    "attempt",
    "dueAt",
    "atStake",
    "reason",
    "updatedAt",
];

/// Carries out a `sagas` command.
pub(super) async fn run(
    client: &Client,
    command: SagasCommand,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        SagasCommand::List {
            status,
            step,
            overdue,
        } => list(client, status, step, overdue, output).await,
        SagasCommand::Show { saga } => {
            let answer = client.get(&format!("/sagas/{saga}")).await?;
            output::document(output, &answer.body, || details(&answer.body))?;
            Ok(())
        }
        SagasCommand::Retry(verb) => intervene(client, &verb, "retry", Map::new(), output).await,
        SagasCommand::Skip(verb) => intervene(client, &verb, "skip", Map::new(), output).await,
        SagasCommand::Cancel(verb) => intervene(client, &verb, "cancel", Map::new(), output).await,
        SagasCommand::Resolve {
            verb,
            outcome,
            evidence,
            force,
        } => {
            let outcome = match outcome {
                ResolvedAs::Done => "done",
                ResolvedAs::Undone => "undone",
            };
            let evidence: Option<Value> = evidence
                .map(|text| serde_json::from_str(&text).context("--evidence is not JSON"))
                .transpose()?;
            let more = json!({ "outcome": outcome, "evidence": evidence, "force": force });
            let more = more.as_object().cloned().unwrap_or_default();
            intervene(client, &verb, "resolve", more, output).await
        }
    }
}

async fn list(
    client: &Client,
    status: Option<String>,
    step: Option<String>,
    overdue: bool,
    output: Output,
) -> anyhow::Result<()> {
    let mut path = "/sagas?size=500".to_owned();
    for (name, value) in [("status", status), ("step", step)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escape(&value)));
        }
    }
    if overdue {
        path.push_str("&overdue=true");
    }
    let mut rows = Vec::new();
    let mut next = Some(path);
    while let Some(path) = next {
        let page = client.get(&path).await?.body;
        rows.extend(
            page.pointer("/_embedded/sagas")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        );
        next = page
            .pointer("/_links/next/href")
            .and_then(Value::as_str)
            .map(str::to_owned);
    }
    output::document(output, &rows, || {
        let mut table = output::table(&COLUMNS);
        for row in &rows {
            table.add_row(
                COLUMNS
                    .iter()
                    .map(|column| row.get(column).map(plain).unwrap_or_default()),
            );
        }
        table
    })?;
    Ok(())
}

async fn intervene(
    client: &Client,
    verb: &VerbArgs,
    name: &str,
    mut body: Map<String, Value>,
    output: Output,
) -> anyhow::Result<()> {
    body.insert("reason".to_owned(), Value::from(verb.reason.clone()));
    if let Some(step) = &verb.step {
        body.insert("step".to_owned(), Value::from(step.clone()));
    }
    let answer = client
        .post(
            &format!("/sagas/{}/{name}", verb.saga),
            &Value::Object(body),
        )
        .await?;
    output::document(output, &answer.body, || details(&answer.body))?;
    Ok(())
}
