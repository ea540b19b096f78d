//! The last word: what the API said against what the log and the providers' ledger say.

use std::path::Path;

use anyhow::Context;
use comfy_table::Table;
use eventstore::{Checkpoint, EventStore};
use serde_json::json;

use super::place::{Answers, Told};
use crate::app::App;
use crate::cli::output;
use crate::config::Output;
use crate::fulfilment::audit::{Auditor, Counts, Report};
use crate::providers::simulator::ledger;

/// Most broken promises that are printed.
const SHOWN: usize = 10;

/// One line of the table: what, how often the API said so, how often the log does.
struct Row(&'static str, Option<u64>, u64);

impl Row {
    fn agrees(&self) -> bool {
        self.1.is_none_or(|told| told == self.2)
    }
}

/// Prints the table; false if anything does not add up.
pub(super) async fn report(
    app: &App,
    told: &Told,
    data_dir: &Path,
    format: Output,
) -> anyhow::Result<bool> {
    let told = told.answers();
    let mut auditor = Auditor::new();
    for order in &told.accepted {
        auditor.acknowledged(*order);
    }
    let report = audit(&app.edge().store, auditor, data_dir).await?;
    let rows = rows(&told, &report.counts);
    let document = json!({
        "rows": rows.iter().map(|Row(what, told, log)| json!({"what": what, "told": told, "log": log})).collect::<Vec<_>>(),
        "charged": report.counts.charged,
        "returned": report.counts.returned,
        "violations": report.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    output::document(format, &document, || table(&rows, &report.counts))?;
    say(&report);
    Ok(rows.iter().all(Row::agrees) && report.is_clean())
}

fn rows(told: &Answers, counts: &Counts) -> Vec<Row> {
    let status = |name: &str| counts.by_status.get(name).copied().unwrap_or_default();
    let accepted = told.accepted.len() as u64;
    let kept = accepted.saturating_sub(told.canceled);
    vec![
        Row(
            "orders placed",
            Some(accepted + told.declined),
            counts.orders,
        ),
        Row(
            "payment declined, nothing charged",
            Some(told.declined),
            status("Rejected"),
        ),
        Row(
            "canceled, all money back",
            Some(told.canceled),
            status("Canceled"),
        ),
        Row("delivered", Some(kept), status("Delivered")),
        Row(
            "too late to cancel",
            Some(told.too_late),
            counts.cancel_refused,
        ),
        Row("messages sent", None, counts.messages_sent),
        Row("still moving", None, counts.in_flight),
        Row("waiting for an operator", None, counts.parked),
        Row("events in the log", None, counts.events),
    ]
}

fn table(rows: &[Row], counts: &Counts) -> Table {
    let mut table = output::table(&["", "the API said", "the log says", ""]);
    for row in rows {
        let Row(what, told, log) = row;
        let mark = match told {
            Some(_) if row.agrees() => "ok",
            Some(_) => "DIFFERS",
            None => "",
        };
        let told = told.map(|told| told.to_string()).unwrap_or_default();
        table.add_row([(*what).to_owned(), told, log.to_string(), mark.to_owned()]);
    }
    for (currency, charged) in &counts.charged {
        let returned = counts.returned.get(currency).copied().unwrap_or_default();
        let what = format!("{currency} charged, returned");
        table.add_row([
            what,
            String::new(),
            format!("{charged}, {returned}"),
            String::new(),
        ]);
    }
    table
}

/// Reads the whole log and the ledger.
async fn audit(
    store: &EventStore,
    mut auditor: Auditor,
    data_dir: &Path,
) -> anyhow::Result<Report> {
    let head = store.head().await.context("reading the log")?;
    let mut scan = store.scan(Checkpoint::START, head);
    while let Some(page) = scan.next().await {
        for event in &page.context("reading the log")? {
            auditor.observe(event);
        }
    }
    let lines =
        ledger::read(&data_dir.join(ledger::FILE_NAME)).context("reading the providers' ledger")?;
    Ok(auditor.compare(&lines))
}

fn say(report: &Report) {
    if report.is_clean() {
        output::note("Log and providers' ledger agree: every promise is kept.");
        return;
    }
    output::note(format!("{} promises are broken:", report.violations.len()));
    for violation in report.violations.iter().take(SHOWN) {
        output::note(format!("  {violation}"));
    }
}
