//! `sagas`: lists, shows and repairs sagas.

mod bulk;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
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

/// Longest that a server waits with its answer.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Carries out a `sagas` command.
pub(super) async fn run(
    client: &Client,
    command: SagasCommand,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        SagasCommand::List {
            status,
            step,
            overdue,
        } => list(client, status, step, overdue, output).await?,
        SagasCommand::Show { saga } => {
            let answer = client.get(&format!("/sagas/{saga}")).await?;
            output::document(output, &answer.body, || details(&answer.body))?;
        }
        SagasCommand::Retry(verb) => {
            return intervene(client, &verb, "retry", Map::new(), output).await;
        }
        SagasCommand::Skip(verb) => {
            return intervene(client, &verb, "skip", Map::new(), output).await;
        }
        SagasCommand::Cancel(verb) => {
            return intervene(client, &verb, "cancel", Map::new(), output).await;
        }
        SagasCommand::Resolve {
            verb,
            outcome,
            evidence,
            force,
        } => {
            let finding = finding(outcome, evidence, force)?;
            return intervene(client, &verb, "resolve", finding, output).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn finding(
    outcome: ResolvedAs,
    evidence: Option<String>,
    force: bool,
) -> anyhow::Result<Map<String, Value>> {
    let outcome = match outcome {
        ResolvedAs::Done => "done",
        ResolvedAs::Undone => "undone",
    };
    let evidence: Option<Value> = evidence
        .map(|text| serde_json::from_str(&text).context("--evidence is not JSON"))
        .transpose()?;
    let fields = json!({ "outcome": outcome, "evidence": evidence, "force": force });
    Ok(fields.as_object().cloned().unwrap_or_default())
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
    output::document(output, &rows, || table(&COLUMNS, &rows))?;
    Ok(())
}

/// Documents as rows, by the names of their fields.
fn table(columns: &[&str], rows: &[Value]) -> comfy_table::Table {
    let mut table = output::table(columns);
    for row in rows {
        let cell = |column: &&str| row.get(*column).map(plain).unwrap_or_default();
        table.add_row(columns.iter().map(cell));
    }
    table
}

async fn intervene(
    client: &Client,
    args: &VerbArgs,
    verb: &str,
    mut body: Map<String, Value>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    body.insert("reason".to_owned(), Value::from(args.reason.clone()));
    if let Some(step) = &args.step {
        body.insert("step".to_owned(), Value::from(step.clone()));
    }
    let Some(saga) = args.saga else {
        return bulk::run(client, args, verb, body, output).await;
    };
    let wait = format!("wait={}", args.wait.min(WAIT_MAX).as_secs());
    let request = client
        .request(Method::POST, &format!("/sagas/{saga}/{verb}"))
        .header("Prefer", wait)
        .json(&body);
    let answer = client.send(request).await?;
    output::document(output, &answer.body, || details(&answer.body))?;
    let result = answer.body.get("result").and_then(Value::as_str);
    Ok(match result {
        Some(result) if is_well(result) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Whether nobody has to look at a saga again that this came of.
fn is_well(result: &str) -> bool {
    matches!(
        result,
        "completed" | "unwound" | "waiting" | "moved" | "would"
    )
}
