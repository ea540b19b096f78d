//! `projections`: how the views of a server are, and what operators do about them.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::Client;
use super::orders::{details, plain};
use super::output;
use crate::config::Output;

/// What to do with views.
#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// Show how far the views are and why, what is parked in one, or what is parked of one key
    #[command(
        after_help = "Examples:\n  bookmarket projections list\n  bookmarket projections list customer\n  \
            bookmarket projections list customer 9f17beb1-b113-59d9-a742-8117e6868a4b"
    )]
    List {
        /// The view
        view: Option<ViewName>,
        /// The key, as the list of its view shows it
        #[arg(requires = "view")]
        key: Option<Uuid>,
    },
    /// Take what is parked once more, in order
    #[command(after_help = HELP)]
    Retry {
        /// The view
        view: ViewName,
        /// The key; all that are parked if it is not named
        key: Option<Uuid>,
        #[command(flatten)]
        /// Why.
        why: Why,
    },
    /// Leave out the first parked event of a key for ever, and go on with what follows it
    #[command(after_help = HELP)]
    Skip {
        /// The view
        view: ViewName,
        /// The key
        key: Uuid,
        /// The event's place in the log [default: the first that is parked]
        #[arg(long, value_name = "N")]
        position: Option<i64>,
        #[command(flatten)]
        /// Why.
        why: Why,
    },
    /// Have a view stand still
    Pause {
        /// The view
        view: ViewName,
        #[command(flatten)]
        /// Why.
        why: Why,
    },
    /// Have a view go on
    Resume {
        /// The view
        view: ViewName,
        #[command(flatten)]
        /// Why.
        why: Why,
    },
}

/// Why it is done.
#[derive(Clone, Debug, Args)]
pub struct Why {
    /// Why; it is kept in the log
    #[arg(long)]
    reason: String,
}

/// A view of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ViewName {
    /// One row per order
    Customer,
    /// One row per message
    Message,
    /// One row per saga
    Saga,
}

impl ViewName {
    fn as_str(self) -> &'static str {
        match self {
            ViewName::Customer => "customer",
            ViewName::Message => "message",
            ViewName::Saga => "saga",
        }
    }
}

const HELP: &str = "Each is an event in the log, which a rebuild honours as well. The exit code is 0 if nothing of it is parked any
more, or the view is folded anew for it.

Examples:
  bookmarket projections retry customer --reason 'release 1.4 knows them'
  bookmarket projections skip customer 9f17beb1-b113-59d9-a742-8117e6868a4b --reason 'imported twice'";

/// Columns of the lists, as they are named on the wire.
const VIEWS: [&str; 8] = [
    "name",
    "state",
    "position",
    "lag",
    "lagSeconds",
    "lagReason",
    "parkedKeys",
    "reason",
];
const KEYS: [&str; 7] = [
    "key",
    "events",
    "position",
    "eventType",
    "cause",
    "build",
    "reason",
];
const EVENTS: [&str; 5] = ["position", "eventType", "cause", "build", "reason"];

/// Carries out a `projections` command.
pub(super) async fn run(
    client: &Client,
    command: ProjectionsCommand,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let (view, verb, why, fields) = match command {
        ProjectionsCommand::List { view, key } => {
            list(client, view, key, output).await?;
            return Ok(ExitCode::SUCCESS);
        }
        ProjectionsCommand::Retry { view, key, why } => (view, "retry", why, json!({ "key": key })),
        ProjectionsCommand::Skip {
            view,
            key,
            position,
            why,
        } => {
            let position = match position {
                Some(position) => position,
                None => first_parked(client, view, key).await?,
            };
            let fields = json!({ "key": key, "position": position });
            (view, "skip", why, fields)
        }
        ProjectionsCommand::Pause { view, why } => (view, "pause", why, json!({})),
        ProjectionsCommand::Resume { view, why } => (view, "resume", why, json!({})),
    };
    let mut body = fields.as_object().cloned().unwrap_or_default();
    body.insert("reason".to_owned(), why.reason.into());
    intervene(client, view, verb, &body, output).await
}

async fn intervene(
    client: &Client,
    view: ViewName,
    verb: &str,
    body: &Map<String, Value>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let path = format!("/projections/{}/{verb}", view.as_str());
    let request = client
        .request(Method::POST, &path)
        .header("Prefer", "wait=30")
        .json(body);
    let answer = client.send(request).await?.body;
    output::document(output, &answer, || details(&answer))?;
    let result = answer.get("result").and_then(Value::as_str);
    Ok(match result {
        Some("released" | "rebuilding" | "paused" | "resumed") => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Where the event is that a skip is to leave out.
async fn first_parked(client: &Client, view: ViewName, key: Uuid) -> anyhow::Result<i64> {
    let events = parked(client, view, key).await?;
    let first = events.first().and_then(|event| event.get("position"));
    let first = first.and_then(Value::as_i64);
    first.with_context(|| format!("nothing of {key} is parked in the view {}", view.as_str()))
}

async fn parked(client: &Client, view: ViewName, key: Uuid) -> anyhow::Result<Vec<Value>> {
    let path = format!("/projections/{}/parked/{key}", view.as_str());
    let document = client.get(&path).await?.body;
    Ok(rows(&document, "/_embedded/parked"))
}

async fn list(
    client: &Client,
    view: Option<ViewName>,
    key: Option<Uuid>,
    output: Output,
) -> anyhow::Result<()> {
    let (columns, rows): (&[&str], _) = match (view, key) {
        (None, _) => {
            let all = client.get("/projections").await?.body;
            (&VIEWS, rows(&all, "/_embedded/projections"))
        }
        (Some(view), None) => {
            let path = format!("/projections/{}", view.as_str());
            let one = client.get(&path).await?.body;
            (&KEYS, rows(&one, "/projection/parked"))
        }
        (Some(view), Some(key)) => (&EVENTS, parked(client, view, key).await?),
    };
    output::document(output, &rows, || {
        let mut table = output::table(columns);
        for row in &rows {
            let cell = |column: &&str| row.get(*column).map(plain).unwrap_or_default();
            table.add_row(columns.iter().map(cell));
        }
        table
    })?;
    Ok(())
}

fn rows(document: &Value, pointer: &str) -> Vec<Value> {
    let rows = document.pointer(pointer).and_then(Value::as_array);
    rows.cloned().unwrap_or_default()
}
