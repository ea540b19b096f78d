//! `bookmarket bench`: how fast it is here, against what the same database does by itself.
//!
//! Every bench measures its baseline and its figure in turn, so that both meet the same machine, and works in a
//! database of its own that it drops at the end.

mod announcements;
mod append;
mod closed_loop;
mod commit_probe;
mod figures;
pub mod fill;
mod http;
mod memory;
mod open_loop;
mod ordering;
mod orders;
mod payload;
mod pinned;
mod raw;
mod replay;
mod report;
mod scratch;
mod server;
mod server_cpu;
mod shop;
mod view_lag;
mod views;

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use secrecy::SecretString;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Events appended through the library, against raw single-row inserts.
    Append(append::AppendArgs),
    /// Whole orders over HTTP until the customer's message, against raw single-row inserts.
    Orders(orders::OrdersArgs),
    /// The customer view rebuilt from the log, against reading the same events raw.
    Replay(replay::ReplayArgs),
    /// What the customer and the message view cost those who order, and how far behind they are.
    Views(views::ViewsArgs),
}

impl Command {
    /// Measures on the Postgres server at `database` and prints a table, or one line of JSON.
    pub async fn run(self, database: &SecretString, json: bool) -> anyhow::Result<()> {
        match self {
            Self::Append(args) => append::run(database, &args, json).await,
            Self::Orders(args) => orders::run(database, &args, json).await,
            Self::Replay(args) => replay::run(database, &args, json).await,
            Self::Views(args) => views::run(database, &args, json).await,
        }
    }
}

/// Fewer than this have no middle to speak of.
const PAIRS_MIN: u32 = 3;

/// How often and how long to measure.
#[derive(Debug, Args)]
struct Pairs {
    /// Pairs of baseline and figure; the result is the median.
    #[arg(long, default_value_t = PAIRS_MIN, value_parser = clap::value_parser!(u32).range(i64::from(PAIRS_MIN)..))]
    pairs: u32,
    /// Length of one run.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    length: Duration,
}

impl Pairs {
    fn count(&self) -> u32 {
        self.pairs
    }

    fn length(&self) -> Duration {
        self.length
    }
}

/// Says how far a bench is, beside its result.
fn note(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}
