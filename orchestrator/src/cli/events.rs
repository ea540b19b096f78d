//! `events`: prints the log.

mod difference;
mod steps;
mod walk;

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use uuid::Uuid;

use super::args::EventsArgs;
use super::client::{Client, ClientError};
use super::output;
use crate::config::Output;

/// Events per page.
const PAGE: usize = 1000;

/// Pause before a broken stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Which events are printed.
#[derive(Clone, Copy)]
struct Choice {
    order: Option<Uuid>,
    output: Output,
}

/// Prints events until the log's end, or for ever with `--follow`.
pub(super) async fn run(client: &Client, args: EventsArgs, output: Output) -> anyhow::Result<()> {
    let order = args.order;
    if let Some(order) = order.filter(|_| args.step) {
        return steps::run(client, order, args.after, output).await;
    }
    let choice = Choice { order, output };
    let after = match order {
        Some(order) => print_order(client, order, args.after, choice).await?,
        None => print_log(client, args.after, choice).await?,
    };
    if args.follow {
        follow(client, after, choice).await
    } else {
        Ok(())
    }
}

/// What has happened to an order. Returns the position to go on from.
async fn print_order(
    client: &Client,
    order: Uuid,
    after: i64,
    choice: Choice,
) -> anyhow::Result<i64> {
    let page = client.get(&format!("/orders/{order}/events")).await?.body;
    let mut last = after;
    for event in events(&page).iter().filter(|event| position(event) > after) {
        choice.print(event)?;
        last = last.max(position(event));
    }
    Ok(last)
}

/// The whole log, page by page. Returns the position to go on from.
async fn print_log(client: &Client, mut after: i64, choice: Choice) -> anyhow::Result<i64> {
    loop {
        let page = client
            .get(&format!("/events?after={after}&limit={PAGE}"))
            .await?
            .body;
        events(&page)
            .iter()
            .try_for_each(|event| choice.print(event))?;
        let next = page.get("next").and_then(Value::as_i64).unwrap_or(after);
        if next == after {
            return Ok(after);
        }
        after = next;
    }
}

fn events(page: &Value) -> &[Value] {
    page.get("events")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn position(event: &Value) -> i64 {
    event
        .get("position")
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

impl Choice {
    /// Prints an event if it is one of those that are wanted. The streams of an order are named after it.
    fn print(self, event: &Value) -> std::io::Result<()> {
        let stream = event.get("stream").and_then(Value::as_str);
        let wanted = self.order.is_none_or(|order| {
            stream.is_some_and(|stream| stream.ends_with(&format!("-{order}")))
        });
        if wanted {
            print(event, self.output)
        } else {
            Ok(())
        }
    }
}

/// Events stream, so each is a line of its own: aligned by fixed widths, not by a table that waits for its end.
fn print(event: &Value, output: Output) -> std::io::Result<()> {
    if output == Output::Json {
        return output::line(event.to_string());
    }
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    output::line(format!(
        "{:>8}  {}  {:<45} {:>3}  {}",
        position(event),
        text("recordedAt"),
        text("stream"),
        event
            .get("version")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        text("type"),
    ))
}

/// Follows the live stream and picks it up again where it broke.
async fn follow(client: &Client, mut after: i64, choice: Choice) -> anyhow::Result<()> {
    loop {
        match client
            .stream(&format!("/events/stream?after={after}"))
            .await
        {
            Ok(response) => after = print_stream(response.bytes_stream(), after, choice).await?,
            Err(error @ ClientError::Refused(_)) => return Err(error.into()),
            Err(error) => output::note(error.to_string()),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// Prints events until the stream ends; returns the position to go on from.
async fn print_stream<E>(
    stream: impl futures_util::Stream<Item = Result<impl AsRef<[u8]>, E>>,
    mut after: i64,
    choice: Choice,
) -> anyhow::Result<i64> {
    let mut stream = std::pin::pin!(stream);
    let mut buffer = Vec::new();
    while let Some(Ok(bytes)) = stream.next().await {
        buffer.extend_from_slice(bytes.as_ref());
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            // Our server writes each event's JSON as a single data line.
            let Some(data) = line.strip_prefix(b"data:") else {
                continue;
            };
            let event: Value = serde_json::from_slice(data)?;
            choice.print(&event)?;
            after = after.max(position(&event));
        }
    }
    Ok(after)
}
