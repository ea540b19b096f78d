//! `preflight`: whether this build can continue every saga that is running. Opens the store for reading only.

use std::process::ExitCode;

use aggregates::codec;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{output, store};
use crate::config::Settings;
use crate::fulfilment::known_sagas;
use crate::fulfilment::limits::Limits;
use crate::saga::preflight::{LISTED_MAX, Progress, Report, Stuck, preflight};

/// Looks at every running saga; fails if there is one that cannot be continued.
pub(super) async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    codec::check()?;
    let store = store::to_look_at(&settings.store.location()?).await?;
    // Limits say how long steps wait, not which there are.
    let known = known_sagas(&Limits::default());
    let bar = bar();
    let report = preflight(&store, &known, |progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    let document = json!({
        "position": report.position,
        "running": report.running,
        "cannotContinue": report.stuck,
        "sagas": report.listed.iter().map(row).collect::<Vec<_>>(),
    });
    output::document(settings.client.output, &document, || table(&report))?;
    output::note(verdict(&report));
    Ok(if report.stuck == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn row(stuck: &Stuck) -> Value {
    json!({
        "sagaId": stuck.id,
        "status": stuck.status,
        "step": stuck.step,
        "why": stuck.why.to_string(),
    })
}

fn table(report: &Report) -> comfy_table::Table {
    let mut table = output::table(&["sagaId", "status", "step", "why it cannot be continued"]);
    for stuck in &report.listed {
        table.add_row([
            stuck.id.to_string(),
            stuck
                .status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            stuck.step.clone().unwrap_or_default(),
            stuck.why.to_string(),
        ]);
    }
    table
}

fn verdict(report: &Report) -> String {
    let Report { running, stuck, .. } = report;
    match *stuck {
        0 => format!("this build can continue all {running} running sagas"),
        more if more > LISTED_MAX => format!(
            "this build cannot continue {more} of {running} running sagas; the first {LISTED_MAX} are listed"
        ),
        _ => format!("this build cannot continue {stuck} of {running} running sagas"),
    }
}

fn bar() -> ProgressBar {
    let template = "{msg} {wide_bar} {pos}/{len}  {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, progress: Progress) {
    let (message, done, of) = match progress {
        Progress::Looking { position, head } => (
            "reading the log",
            u64::try_from(position.0).unwrap_or_default(),
            u64::try_from(head.0).unwrap_or_default(),
        ),
        Progress::Folding { done, of } => ("folding sagas", done as u64, of as u64),
    };
    bar.set_message(message);
    bar.set_length(of);
    bar.set_position(done);
}
