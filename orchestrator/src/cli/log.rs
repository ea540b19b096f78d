//! `log`: the whole log into a file, out of one, and a look whether a file is whole.

mod export;
mod import;
mod verify;

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use eventstore::archive::{Progress, Source};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use super::args::store::LogCommand;
use super::output;
use crate::config::{Output, Settings};

/// What stands for standard input or output.
const STANDARD: &str = "-";

/// Carries it out.
pub(super) async fn run(settings: &Settings, command: LogCommand) -> anyhow::Result<ExitCode> {
    match command {
        LogCommand::Export(args) => export::run(settings, args).await,
        LogCommand::Import(args) => import::run(settings, &args).await,
        LogCommand::Verify(args) => verify::run(settings, &args).await,
    }
}

fn source(path: &Path) -> anyhow::Result<Source> {
    if path == Path::new(STANDARD) {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(Box::new(file))
}

/// A bar on the terminal, and the time it takes.
#[derive(Clone)]
struct Pace {
    bar: ProgressBar,
    began: Instant,
}

impl Pace {
    fn begin(what: &'static str) -> Pace {
        let template = "{prefix} {wide_bar} {pos}/{len} events  {per_sec}  {eta} left";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Pace {
            bar: ProgressBar::new(0).with_style(style).with_prefix(what),
            began: Instant::now(),
        }
    }

    fn show(&self, progress: Progress) {
        let number = |position: eventstore::Position| u64::try_from(position.0).unwrap_or_default();
        let is_first = self.bar.length() == Some(0);
        self.bar.set_length(number(progress.total));
        self.bar.set_position(number(progress.done));
        if is_first {
            // What had been done before says nothing about how fast it goes now.
            self.bar.reset_eta();
        }
    }

    /// Takes the bar away and tells how far it was.
    fn stopped_at(&self) -> u64 {
        self.bar.finish_and_clear();
        self.bar.position()
    }

    /// How long so many events took.
    fn took(&self, events: i64) -> [Fact; 2] {
        self.bar.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = (events as f64 / seconds.max(0.001)) as u64;
        let rounded = (seconds * 1_000.0).round() / 1_000.0;
        [
            ("seconds", rounded.into()),
            ("eventsPerSecond", rate.into()),
        ]
    }
}

/// What came of it, by name.
type Fact = (&'static str, Value);

/// Prints the facts, one a row.
fn print(format: Output, facts: &[Fact]) -> std::io::Result<()> {
    let document: Map<_, _> = facts
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    output::document(format, &document, || {
        let mut table = output::table(&[]);
        for (name, value) in facts {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            table.add_row([*name, text.as_str()]);
        }
        table
    })
}
