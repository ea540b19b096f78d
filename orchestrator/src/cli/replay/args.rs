//! What `replay` takes.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use projections::WORKERS_MAX;

/// What to rebuild, or to fold as it was.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The live view stays readable until the new one is complete. Where a server holds the embedded store, that
server does the work and this command shows its progress. With --output json there is a line of JSON for each step of
the progress, and the result in the last one.

With --to-position or --to-time nothing is rebuilt: the view is folded as it was then, beside the shop, into a file.

Examples:
  bookmarket replay customer
  bookmarket replay all --verify                      cut over where nothing differs; exit code 1 where something does
  bookmarket replay customer --cutover manual         build it now,
  bookmarket replay customer --resume                 and cut over later; also after a rebuild was cut off
  bookmarket replay customer --drop-old               room for what the last rebuild has replaced
  bookmarket replay customer --to-time 2026-11-20T09:00:00Z --out customers.csv"
)]
pub struct ReplayArgs {
    /// The view
    #[arg(value_enum)]
    pub view: ReplayView,
    /// Compare the new table row by row with the live one; where they differ, do not cut over
    #[arg(long)]
    pub verify: bool,
    /// Whether the new table takes the place of the live one, or waits for --resume
    #[arg(long, value_enum, default_value = "auto")]
    pub cutover: Cutover,
    /// Threads that decode and fold, at most one for each core [default: half of the cores, at most 4; 1 in a server]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=WORKERS_MAX as i64))]
    pub parallel: Option<u8>,
    /// Go on with a rebuild that was cut off, or that did not cut over
    #[arg(long)]
    pub resume: bool,
    /// How much work a kill may cost
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub checkpoint_every: Duration,
    /// Only drop the old table that the last rebuild has replaced
    #[arg(long, conflicts_with_all = ["verify", "cutover", "parallel", "resume", "checkpoint_every", "place"])]
    pub drop_old: bool,
    /// Fold the view as it was at this position of the log
    #[arg(long, value_name = "N", group = "place", requires = "out", value_parser = clap::value_parser!(i64).range(0..))]
    pub to_position: Option<i64>,
    /// Fold the view as it was at this moment (2026-11-20T09:00:00Z)
    #[arg(long, value_name = "TIME", group = "place", requires = "out", value_parser = moment)]
    pub to_time: Option<DateTime<Utc>>,
    /// Where the rows go then; the name ends in .csv or .json
    #[arg(long, value_name = "FILE", requires = "place", conflicts_with_all = ["verify", "cutover", "resume", "checkpoint_every"])]
    pub out: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long, requires = "out")]
    pub force: bool,
}

impl ReplayArgs {
    /// How many threads, where this process does the work.
    pub(super) fn workers(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let given = self.parallel.map(usize::from);
        given.map_or_else(|| (cores / 2).clamp(1, 4), |given| given.min(cores))
    }
}

/// What becomes of a table that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cutover {
    /// It takes the place of the live one.
    Auto,
    /// It waits for --resume.
    Manual,
}

/// A view that can be rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReplayView {
    /// One row per order.
    Customer,
    /// One row per message.
    Message,
    /// One row per saga.
    Saga,
    /// All three.
    All,
}

impl ReplayView {
    /// The names of the views it stands for.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            ReplayView::Customer => &["customer"],
            ReplayView::Message => &["message"],
            ReplayView::Saga => &["saga"],
            ReplayView::All => &["customer", "message", "saga"],
        }
    }
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.with_timezone(&Utc))
        .map_err(|_| "a moment looks like 2026-11-20T09:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    #[test]
    fn there_are_no_more_threads_than_cores_however_many_were_asked_for() {
        let cores = std::thread::available_parallelism().expect("cores").get();
        let workers = |arguments: &[&str]| {
            let given = ["replay", "customer"].iter().chain(arguments);
            Given::try_parse_from(given).map(|given| given.replay.workers())
        };
        assert_eq!(workers(&["--parallel", "1"]).ok(), Some(1));
        assert_eq!(workers(&["--parallel", "16"]).ok(), Some(cores.min(16)));
        assert!(workers(&["--parallel", "17"]).is_err());
        assert!(workers(&[]).is_ok_and(|workers| workers <= cores));
    }
}
