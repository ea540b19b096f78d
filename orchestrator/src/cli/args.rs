//! The command line: every command and what it takes.

mod alone;
pub mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;
use uuid::Uuid;

use super::projections::ProjectionsCommand;
use super::replay::ReplayArgs;
use crate::bench;
use crate::config::{Settings, secret};
use crate::providers::simulator::wire::Preset;

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

Every option of a server, as `bookmarket --help` lists them, is also an environment variable; what a command takes besides is a
flag only, unless its help names a variable. `--help` shows all options, `-h` the usual ones.")]
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
    /// Show how the views of a server are, and release what is parked in them
    #[command(subcommand)]
    Projections(ProjectionsCommand),
    /// Rebuild views from the log, or fold one as it was into a file
    Replay(ReplayArgs),
    /// Compare the providers' books with a server's log
    Reconcile(ReconcileArgs),
    /// Say whether this build can continue every saga that is running, before it takes over
    #[command(after_help = PREFLIGHT_HELP)]
    Preflight,
    /// Bring the store's tables up to this version
    Migrate(store::MigrateArgs),
    /// Move a whole log: into a file, and out of one into another store
    #[command(subcommand)]
    Log(store::LogCommand),
    /// Make a customer's personal data unreadable for ever
    Erase(EraseArgs),
    /// Measure this build against the database it runs on
    #[command(subcommand)]
    Bench(bench::Command),
    /// Serve the simulated payment provider, carrier, tracker and message dealer over HTTP
    Simulate(SimulateArgs),
    /// Check configuration, stores, durability, clock, versions and disk, and say what to do
    Doctor,
}

/// How the providers are simulated.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Under one address: Toss Payments at /toss, Solapi at /solapi, tracker.delivery at /tracker/graphql, the label API at
/label; beside them GET /ledger, GET and PUT /faults, POST /scans and /charges, /livez. --simulated-handover-after and
--simulated-delivery-after say how fast the vans are.

Examples:
  bookmarket simulate --listen 127.0.0.1:9090 --ledger providers.jsonl
  bookmarket simulate --listen 127.0.0.1:9090 --webhook-url http://127.0.0.1:8088
  curl -X PUT 127.0.0.1:9090/faults -d '{\"rules\":[{\"op\":\"charge\",\"fault\":\"commit-then-drop\",\"rate\":0.3}]}'"
)]
pub struct SimulateArgs {
    /// What the providers did, one JSON line a call, and all that they know after a restart [default: simulator.jsonl
    /// in the data directory]
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Shop that is told of changes by webhooks [default: nobody is told]
    #[arg(long, value_name = "URL")]
    pub webhook_url: Option<String>,
    /// Last part of the paths that the shop listens on for webhooks
    #[arg(long, env = "BOOKMARKET_WEBHOOK_SECRET", value_name = "SECRET", value_parser = secret, default_value = "simulated", hide_env_values = true)]
    pub webhook_secret: SecretString,
    /// Rules to begin with; PUT /faults replaces them
    #[arg(long, value_name = "NAME", value_enum)]
    pub preset: Vec<Preset>,
}

/// How the demo runs.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bookmarket demo                 the whole demo, then keeps serving until Ctrl-C
  bookmarket demo --exit          ends after the table of counts
  bookmarket demo --orders 100    a short one

It has a store and providers of its own: it looks away from those that the environment names, and takes no flag that names any.")]
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
  bookmarket events --order 0190b5c2-...  one order with its payment, its delivery and its saga
  bookmarket events --follow --output json | jq .type
  bookmarket events --order ID --step
  bookmarket events --order ID --step --output json | jq .difference

A message has a stream of its own: `bookmarket sagas show ID` names those of an order.")]
pub struct EventsArgs {
    /// Only the events of this order, of its payment, its delivery and its saga
    #[arg(long, value_name = "ID")]
    pub order: Option<Uuid>,
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub after: i64,
    /// Keep printing events as they happen
    #[arg(long)]
    pub follow: bool,
    /// Walk the order event by event: what each changes in order, payment, delivery and saga. On a terminal Enter goes on
    #[arg(long, requires = "order", conflicts_with = "follow")]
    pub step: bool,
}

/// What to do with sagas.
#[derive(Debug, Subcommand)]
pub enum SagasCommand {
    /// List sagas, the youngest first
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
    #[command(after_help = VERB_HELP)]
    Retry(VerbArgs),
    /// Declare how a parked step ended, on evidence
    #[command(allow_missing_positional = true, after_help = RESOLVE_HELP)]
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
    #[command(after_help = VERB_HELP)]
    Skip(VerbArgs),
    /// Cancel as the customer would
    #[command(after_help = VERB_HELP)]
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

/// Which sagas and why.
#[derive(Clone, Debug, Args)]
pub struct VerbArgs {
    /// The saga; several are chosen with --where
    #[arg(required_unless_present = "only", conflicts_with = "only")]
    pub saga: Option<Uuid>,
    /// Why; it is kept in the log
    #[arg(long)]
    pub reason: String,
    /// The parked step, where more than one is
    #[arg(long)]
    pub step: Option<String>,
    /// How long to watch what comes of each
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub wait: Duration,
    #[command(flatten)]
    /// Several at once.
    pub bulk: BulkArgs,
}

/// What to compare.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Every difference is listed with what is at stake and what to do about it. With --fix what is safe is set
right, each time by events of the saga concerned, and the rest is parked: `bookmarket sagas list --status parked`.

Examples:
  bookmarket reconcile                    look at the last 24 hours
  bookmarket reconcile --since 30d --fix --reason 'monthly closing'"
)]
pub struct ReconcileArgs {
    /// From when on: a moment, or a time back from now [default: 24h]
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Set right what is safe
    #[arg(long)]
    pub fix: bool,
    /// Why; it is kept in the log
    #[arg(long)]
    pub reason: Option<String>,
}

/// Which sagas, how fast, and how many first.
#[derive(Clone, Debug, Args)]
pub struct BulkArgs {
    /// All sagas like this: saga, status (parked if not named), step, reason (its code, or a part of its text)
    #[arg(long = "where", id = "only", value_name = "FIELD=VALUE,...")]
    pub only: Option<String>,
    /// How fast: 5/s, 30/m, 100/h
    #[arg(long, requires = "only", default_value = "5/s")]
    pub rate: String,
    /// Do so many first, and the others only if all of these went well
    #[arg(long, requires = "only", value_name = "N", default_value_t = 0)]
    pub canary: u16,
    /// At most so many
    #[arg(long, requires = "only", value_name = "N", default_value_t = 1000)]
    pub limit: u16,
    /// Only say what would be done
    #[arg(long, requires = "only")]
    pub dry_run: bool,
}

const VERB_HELP: &str = "With --where each saga gets an event of its own. Ctrl-C stops before the next one. The exit code is 0 if
nothing is parked again, refused, or without a result yet.

Examples:
  bookmarket sagas retry 0190b5c2-... --reason 'the bank is back'
  bookmarket sagas retry --where step=refund,reason=account-closed --reason 'new account' --canary 3 --dry-run";

const RESOLVE_HELP: &str = "Examples:
  bookmarket sagas resolve 0190b5c2-... done --reason 'refunded by hand' --evidence '{\"ref\": \"R-17\"}'
  bookmarket sagas resolve --where step=cancel-delivery done --force --reason 'the carrier voided them all'";

const PREFLIGHT_HELP: &str = "Reads the log, also beside a running server, folds every saga that has not finished, and lists those
that this build does not know, has no step for, or cannot read. The exit code is 1 if there are any.

Example:
  bookmarket preflight --output json";

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
