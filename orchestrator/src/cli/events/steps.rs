//! `events --order ID --step`: shows what each event of an order did to what was known before.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;
use uuid::Uuid;

use super::super::client::Client;
use super::super::output;
use super::difference::{Change, Leaf, leaves};
use super::events;
use super::walk::{Step, Walk};
use crate::config::Output;

/// What every event of the market repeats from its head; the line above it says the same.
const HEAD: [&str; 7] = [
    "eventType",
    "timestamp",
    "id",
    "orderId",
    "customerId",
    "status",
    "occurredAt",
];

/// Walks the order from its first event, showing those after a position.
pub(super) async fn run(
    client: &Client,
    order: Uuid,
    after: i64,
    output: Output,
) -> anyhow::Result<()> {
    let page = client.get(&format!("/orders/{order}/events")).await?.body;
    let attended =
        output == Output::Table && io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut walk = Walk::default();
    let mut shown = false;
    for event in events(&page) {
        let (position, step) = walk.take(event)?;
        if position <= after {
            continue;
        }
        if attended && shown && !go_on()? {
            return Ok(());
        }
        shown = true;
        match output {
            Output::Json => output::line(serde_json::to_string(&step)?)?,
            Output::Table => show(&step)?,
        }
    }
    Ok(())
}

/// Waits for the person at the terminal; anything but Enter ends it.
fn go_on() -> io::Result<bool> {
    let mut terminal = io::stderr().lock();
    write!(terminal, "-- Enter: next event, q: end -- ")?;
    terminal.flush()?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer)?;
    Ok(read > 0 && answer.trim().is_empty())
}

fn show(step: &Step) -> io::Result<()> {
    let text = |name: &str| step.event[name].as_str().unwrap_or_default();
    output::line(format!(
        "#{} {}  {} v{}  {}",
        step.event["position"],
        text("type"),
        text("stream"),
        step.event["version"],
        text("recordedAt"),
    ))?;
    let mut data = step.event["data"].clone();
    if let Some(data) = data.as_object_mut() {
        data.retain(|name, _| !HEAD.contains(&name.as_str()));
    }
    for leaf in leaves(&data, &data) {
        if let Leaf::Same(path, value) = leaf {
            output::line(format!("    {}: {value}", shown_path(&path)))?;
        }
    }
    if let Some(why) = &step.refused {
        output::line(format!("  ! not taken: {why}"))?;
    }
    for part in ["order", "payment", "delivery", "saga"] {
        if step.before[part] != step.after[part] {
            output::line(format!("  {part}"))?;
            show_part(&step.before[part], &step.after[part])?;
        }
    }
    output::line("")
}

/// The whole part, with what changed in it marked.
fn show_part(before: &Value, after: &Value) -> io::Result<()> {
    for leaf in leaves(before, after) {
        match leaf {
            Leaf::Same(path, value) => {
                output::line(format!("      {}: {value}", shown_path(&path)))?
            }
            Leaf::Changed(Change {
                path,
                before,
                after,
            }) => {
                for (mark, value) in [('-', before), ('+', after)] {
                    if let Some(value) = value {
                        output::line(format!("    {mark} {}: {value}", shown_path(&path)))?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A pointer as people read it: `/lines/0/qty` is `lines.0.qty`.
fn shown_path(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
