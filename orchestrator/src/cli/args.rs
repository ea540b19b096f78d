//! The command line: every command and what it takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::bench;
use crate::config::Settings;

/// Takes orders for books, gets them paid, shipped and announced, and unwinds all of it when something fails.
#[derive(Debug, Parser)]
#[command(
    name = "bookmarket",
    version,
    propagate_version = true,
    max_term_width = 110
)]
#[command(after_help = "Examples:
  bookmarket                                  serve on http://127.0.0.1:8088 with the embedded store
  bookmarket demo                             watch 1,000 orders go through, then look around
  DATABASE_URL=postgres://... bookmarket      serve with the log in Postgres
  bookmarket orders import orders.jsonl       place the orders of a file
  bookmarket doctor                           check this configuration and say what to do

Every option is also an environment variable; `--help` shows all options, `-h` the usual ones.")]
pub struct Cli {
    #[command(flatten)]
    /// The settings every command accepts.
    pub settings: Settings,
    #[command(subcommand)]
    /// What to do; `serve` when absent.
    pub command: Option<Command>,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API (the default)
    Serve,
    /// Place varied orders against a server of its own and show them moving
    Demo(DemoArgs),
    /// Place, show and cancel orders on a server
    #[command(subcommand)]
    Orders(OrdersCommand),
    /// Print the log's events from a server
    Events(EventsArgs),
    /// List, show and repair sagas on a server
    #[command(subcommand)]
    Sagas(SagasCommand),
    /// Rebuild views from the log
    Replay(ReplayArgs),
    /// Bring the store's tables up to this version
    Migrate,
    /// Make a customer's personal data unreadable for ever
    Erase(EraseArgs),
    /// Measure this build against the database it runs on
    #[command(subcommand)]
    Bench(bench::Command),
    /// Check configuration, stores, durability, clock, versions and disk, and say what to do
    Doctor,
}

/// How the demo runs.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bookmarket demo                 the whole demo, then keeps serving until Ctrl-C
  bookmarket demo --exit          ends after the table of counts
  bookmarket demo --orders 100    a short one")]
pub struct DemoArgs {
    /// How many orders to place
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub orders: u32,
    /// End after the demo instead of serving on
    #[arg(long)]
    pub exit: bool,
    /// Keep the demo's data in this directory [default: a new temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// What to do with orders.
#[derive(Debug, Subcommand)]
pub enum OrdersCommand {
    /// Place the orders of a file, one JSON object a line
    Import(ImportArgs),
    /// Show an order as it is now
    #[command(after_help = "Example:\n  bookmarket orders show 0190b5c2-...-4f")]
    Show {
        /// The order
        order: Uuid,
    },
    /// Cancel an order
    #[command(
        after_help = "Example:\n  bookmarket orders cancel 0190b5c2-...-4f --reason 'wrong edition'"
    )]
    Cancel {
        /// The order
        order: Uuid,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Which file to import.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A line is an order as POST /orders takes it, with `externalId` as its idempotency key, so that a second
import adds nothing. `\"outcome\": \"Canceled\"` cancels the order after placing it.

Examples:
  bookmarket orders import orders.jsonl
  zcat orders.jsonl.gz | bookmarket orders import -"
)]
pub struct ImportArgs {
    /// The file, or - for standard input
    pub file: PathBuf,
    /// Orders in flight at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub in_flight: u16,
}

/// Which events to print.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bookmarket events                       the whole log
  bookmarket events --order 0190b5c2-...  everything about one order
  bookmarket events --follow --output json | jq .type")]
pub struct EventsArgs {
    /// Only the events of this order
    #[arg(long, value_name = "ID")]
    pub order: Option<Uuid>,
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub after: i64,
    /// Keep printing events as they happen
    #[arg(long, conflicts_with = "order")]
    pub follow: bool,
}

/// What to do with sagas.
#[derive(Debug, Subcommand)]
pub enum SagasCommand {
    /// List sagas, the oldest first
    #[command(
        after_help = "Examples:\n  bookmarket sagas list --status parked\n  bookmarket sagas list --overdue"
    )]
    List {
        /// running, waiting, unwinding, parked, completed or unwound
        #[arg(long)]
        status: Option<String>,
        /// Only sagas at this step
        #[arg(long)]
        step: Option<String>,
        /// Only sagas whose next action is late
        #[arg(long)]
        overdue: bool,
    },
    /// Show one saga: its state, what it waits for, what remains, its history
    Show {
        /// The saga; for an order it has the order's id
        saga: Uuid,
    },
    /// Try a parked step again
    Retry(VerbArgs),
    /// Declare how a parked step ended, on evidence
    #[command(after_help = "Example:
  bookmarket sagas resolve 0190b5c2-... done --reason 'refunded by hand' --evidence '{\"refundRef\": \"R-17\"}'")]
    Resolve {
        #[command(flatten)]
        /// Which and why.
        verb: VerbArgs,
        /// What happened to the step's effect
        outcome: ResolvedAs,
        /// What proves it, as JSON
        #[arg(long, value_name = "JSON")]
        evidence: Option<String>,
        /// Believe the evidence although the provider says otherwise
        #[arg(long)]
        force: bool,
    },
    /// Go on without a step that may be left out
    Skip(VerbArgs),
    /// Cancel as the customer would
    Cancel(VerbArgs),
}

/// How a parked step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResolvedAs {
    /// Its effect exists.
    Done,
    /// Its effect does not exist and never will.
    Undone,
}

/// Which saga and why.
#[derive(Clone, Debug, Args)]
pub struct VerbArgs {
    /// The saga
    pub saga: Uuid,
    /// Why; it is kept in the log
    #[arg(long)]
    pub reason: String,
    /// The parked step, where more than one is
    #[arg(long)]
    pub step: Option<String>,
}

/// What to rebuild.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The live view stays readable until the new one is complete. Where a server holds the embedded store, that
server does the work and this command shows its progress.

Examples:
  bookmarket replay customer
  bookmarket replay all"
)]
pub struct ReplayArgs {
    /// The view
    #[arg(value_enum)]
    pub view: ReplayView,
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

/// Whom to erase and why.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The customer's key is destroyed; the events stay and count, but name, phone, address and payment
token can never be read again. There is no way back.

Example:
  bookmarket erase --customer 42 --reason 'request of 2026-11-20'"
)]
pub struct EraseArgs {
    /// The customer's id
    #[arg(long, value_name = "ID")]
    pub customer: String,
    /// Why; it is kept in the log
    #[arg(long)]
    pub reason: String,
}
