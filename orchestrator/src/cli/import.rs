//! `orders import`: places the orders of a file, many at once, and accounts for every line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::mpsc;

use super::args::ImportArgs;
use super::client::Client;
use super::import_line::{self, Fate, Line};
use super::output;
use crate::config::Output;

/// Lines read ahead of the requests. Enough to keep them busy, small enough for any file size.
const READ_AHEAD: usize = 256;

/// Bad lines that are printed with what is wrong with them; of those beyond only the line numbers are.
const COMPLAINTS_MAX: usize = 50;

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    lines: AtomicU64,
    placed: AtomicU64,
    repeated: AtomicU64,
    pending: AtomicU64,
    declined: AtomicU64,
    canceled: AtomicU64,
    /// The numbers of the lines that failed, in the order in which they did: eight bytes each, whatever the file.
    failed: Mutex<Vec<u64>>,
}

/// The tally as it is printed.
#[derive(Debug, Serialize)]
struct Summary {
    lines: u64,
    placed: u64,
    repeated: u64,
    pending: u64,
    declined: u64,
    canceled: u64,
    failed: usize,
    /// Their numbers.
    #[serde(rename = "failedLines")]
    failed_lines: Vec<u64>,
    seconds: f64,
}

/// Imports the file; fails if any line did.
pub(super) async fn run(
    client: Client,
    args: ImportArgs,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let (lines, reader) = read(args.file.clone())?;
    let bar = progress(&args.file);
    let tally = Tally::default();
    let started = Instant::now();
    let stream =
        futures_util::stream::unfold(lines, async |mut lines| Some((lines.recv().await?, lines)));
    stream
        .for_each_concurrent(usize::from(args.in_flight), async |(number, line)| {
            let size = line.len() as u64 + 1;
            import(&client, &tally, &bar, number, &line).await;
            bar.inc(size);
        })
        .await;
    bar.finish_and_clear();
    reader
        .await?
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    if let Some(more) = tally.unexplained() {
        output::note(format!("failed as well: {more}"));
    }
    let summary = tally.summary(started.elapsed());
    output::document(output, &summary, || summary.table())?;
    Ok(if summary.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn import(client: &Client, tally: &Tally, bar: &ProgressBar, number: u64, line: &[u8]) {
    if line.is_empty() {
        return;
    }
    add(&tally.lines);
    let fate = match Line::parse(line) {
        Ok(line) => import_line::place(client, &line).await,
        Err(reason) => Fate {
            failure: Some(reason),
            ..Fate::default()
        },
    };
    for (happened, count) in [
        (fate.placed, &tally.placed),
        (fate.repeated, &tally.repeated),
        (fate.pending, &tally.pending),
        (fate.declined, &tally.declined),
        (fate.canceled, &tally.canceled),
    ] {
        if happened {
            add(count);
        }
    }
    if let Some(reason) = fate.failure
        && tally.fail(number) <= COMPLAINTS_MAX
    {
        bar.suspend(|| output::note(format!("line {number}: {reason}")));
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    fn failed(&self) -> MutexGuard<'_, Vec<u64>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line that failed; returns how many have.
    fn fail(&self, number: u64) -> usize {
        let mut failed = self.failed();
        failed.push(number);
        failed.len()
    }

    /// The lines that failed without a word of why.
    fn unexplained(&self) -> Option<String> {
        let mut more = self.failed().get(COMPLAINTS_MAX..)?.to_vec();
        more.sort_unstable();
        (!more.is_empty()).then(|| format!("lines {}", ranges(&more)))
    }

    fn summary(&self, took: Duration) -> Summary {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut failed_lines = self.failed().clone();
        failed_lines.sort_unstable();
        Summary {
            lines: read(&self.lines),
            placed: read(&self.placed),
            repeated: read(&self.repeated),
            pending: read(&self.pending),
            declined: read(&self.declined),
            canceled: read(&self.canceled),
            failed: failed_lines.len(),
            failed_lines,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
        }
    }
}

impl Summary {
    fn table(&self) -> comfy_table::Table {
        let mut table = output::table(&[
            "lines", "placed", "repeated", "pending", "declined", "canceled", "failed", "seconds",
        ]);
        let counts = [
            self.lines,
            self.placed,
            self.repeated,
            self.pending,
            self.declined,
            self.canceled,
            self.failed as u64,
        ];
        let seconds = format!("{:.1}", self.seconds);
        table.add_row(counts.iter().map(u64::to_string).chain([seconds]));
        table
    }
}

/// Ascending numbers, those in a row by the first and the last of them.
fn ranges(numbers: &[u64]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let told = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        alone => alone.iter().map(u64::to_string).collect(),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Lines with their numbers.
type Lines = mpsc::Receiver<(u64, Vec<u8>)>;

type Reader = tokio::task::JoinHandle<std::io::Result<()>>;

/// Reads numbered lines on a thread of its own: files and pipes block.
fn read(path: PathBuf) -> anyhow::Result<(Lines, Reader)> {
    use std::io::{BufRead, BufReader, Read};
    let source: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(
            std::fs::File::open(&path)
                .with_context(|| format!("cannot open {}", path.display()))?,
        )
    };
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        let mut source = BufReader::new(source);
        let mut bytes = Vec::new();
        let mut number = 0;
        while source.read_until(b'\n', &mut bytes)? > 0 {
            number += 1;
            let line = bytes.trim_ascii().to_vec();
            if sender.blocking_send((number, line)).is_err() {
                break;
            }
            bytes.clear();
        }
        Ok(())
    });
    Ok((receiver, reader))
}

fn progress(path: &Path) -> ProgressBar {
    let size = std::fs::metadata(path)
        .map(|meta| meta.len())
        .ok()
        .filter(|size| *size > 0);
    match size {
        Some(size) => {
            let style = ProgressStyle::with_template(
                "{wide_bar} {percent:>3} %  {bytes}/{total_bytes}  {eta} left",
            );
            ProgressBar::new(size)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        None => ProgressBar::new_spinner(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_told_by_their_ends() {
        assert_eq!(ranges(&[1, 2, 3, 5, 8, 9]), "1-3, 5, 8-9");
        assert_eq!(ranges(&[7]), "7");
    }
}
