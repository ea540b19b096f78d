//! `reconcile`: has a server compare the providers' books with its log.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::args::ReconcileArgs;
use super::client::Client;
use super::orders::plain;
use super::output;
use crate::config::Output;

/// Columns of the list, as they are named on the wire.
const COLUMNS: [&str; 10] = [
    "kind",
    "code",
    "orderId",
    "reference",
    "atStake",
    "provider",
    "log",
    "fix",
    "action",
    "suggestion",
];

/// Between two looks at a comparison that takes long.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Compares, waits for the end, and lists what differs.
pub(super) async fn run(
    client: &Client,
    args: ReconcileArgs,
    output: Output,
) -> anyhow::Result<()> {
    let wish = json!({ "since": args.since, "fix": args.fix, "reason": args.reason });
    let answer = client.post("/reconcile", &wish).await?;
    let report = match answer.body.get("running") {
        Some(_) => finished(client).await?,
        None => answer.body,
    };
    for unread in report["unread"].as_array().into_iter().flatten() {
        output::note(format!("not compared: {}", plain(unread)));
    }
    let findings = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
    output::document(output, &report, || {
        let mut table = output::table(&COLUMNS);
        for finding in findings {
            table.add_row(COLUMNS.iter().map(|column| cell(column, &finding[*column])));
        }
        table
    })?;
    output::note(format!(
        "{} orders and {} records compared, {} findings",
        plain(&report["orders"]),
        plain(&report["records"]),
        findings.len()
    ));
    Ok(())
}

async fn finished(client: &Client) -> anyhow::Result<Value> {
    output::note("comparing; this takes a while");
    loop {
        sleep(LOOK_EVERY).await;
        let mut state = client.get("/reconcile").await?.body;
        if state["running"] == Value::Bool(false) {
            return Ok(state["last"].take());
        }
    }
}

fn cell(column: &str, value: &Value) -> String {
    match column {
        "atStake" if !value.is_null() => {
            format!("{} {}", plain(&value["amount"]), plain(&value["currency"]))
        }
        "action" => match &value["why"] {
            Value::Null => plain(&value["taken"]),
            why => format!("{}: {}", plain(&value["taken"]), plain(why)),
        },
        _ => plain(value),
    }
}
