//! The last word: what the API said against what the log and the providers' ledger say.

use std::path::Path;

use anyhow::Context;
use eventstore::{Checkpoint, EventStore};
use serde_json::json;

use super::place::Told;
use crate::app::App;
use crate::cli::output;
use crate::config::Output;
use crate::fulfilment::audit::{Auditor, Report};
use crate::providers::simulator::ledger;

/// Most broken promises that are printed.
const SHOWN: usize = 10;

/// Prints the table; false if anything does not add up.
pub(super) async fn report(
    app: &App,
    told: &Told,
    data_dir: &Path,
    format: Output,
) -> anyhow::Result<bool> {
    let told = told.answers();
    let mut auditor = Auditor::new();
    told.accepted
        .iter()
        .for_each(|order| auditor.acknowledged(*order));
    let report = audit(&app.edge().store, auditor, data_dir).await?;
    let counts = &report.counts;
    let status = |name: &str| counts.by_status.get(name).copied().unwrap_or_default();
    let accepted = told.accepted.len() as u64;
    let mut rows = vec![
        (
            "orders placed",
            Some(accepted + told.declined),
            counts.orders,
        ),
        (
            "payment declined, nothing charged",
            Some(told.declined),
            status("Rejected"),
        ),
        (
            "canceled, all money back",
            Some(told.canceled),
            status("Canceled"),
        ),
        (
            "delivered",
            Some(accepted - told.canceled.min(accepted)),
            status("Delivered"),
        ),
        (
            "too late to cancel",
            Some(told.too_late),
            counts.cancel_refused,
        ),
    ];
    rows.push(("messages sent", None, counts.messages_sent));
    rows.push(("still moving", None, counts.in_flight));
    rows.push(("waiting for an operator", None, counts.parked));
    rows.push(("events in the log", None, counts.events));
    let agree = rows
        .iter()
        .all(|(_, told, found)| told.is_none_or(|told| told == *found));
    let document = json!({
        "rows": rows.iter().map(|(what, told, found)| json!({"what": what, "told": told, "log": found})).collect::<Vec<_>>(),
        "charged": counts.charged, "returned": counts.returned,
        "violations": report.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    output::document(format, &document, || {
        let mut table = output::table(&["", "the API said", "the log says", ""]);
        for (what, told, found) in &rows {
            let mark = match told {
                Some(told) if told == found => "ok",
                Some(_) => "DIFFERS",
                None => "",
            };
            table.add_row([
                (*what).to_owned(),
                told.map(|told| told.to_string()).unwrap_or_default(),
                found.to_string(),
                mark.to_owned(),
            ]);
        }
        for (currency, charged) in &counts.charged {
            let returned = counts.returned.get(currency).copied().unwrap_or_default();
            table.add_row([
                format!("{currency} charged, returned"),
                String::new(),
                format!("{charged}, {returned}"),
                String::new(),
            ]);
        }
        table
    })?;
    say(&report);
    Ok(agree && report.is_clean())
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
