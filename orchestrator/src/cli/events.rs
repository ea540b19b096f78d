//! `events`: prints the log.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use super::args::EventsArgs;
use super::client::{Client, ClientError};
use super::output;
use crate::config::Output;

/// Events per page.
const PAGE: usize = 1000;

/// Pause before a broken stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Prints events until the log's end, or for ever with `--follow`.
pub(super) async fn run(client: &Client, args: EventsArgs, output: Output) -> anyhow::Result<()> {
    if let Some(order) = args.order {
        let answer = client.get(&format!("/orders/{order}/events")).await?;
        print_page(&answer.body, output)?;
        return Ok(());
    }
    let mut after = args.after;
    loop {
        let page = client
            .get(&format!("/events?after={after}&limit={PAGE}"))
            .await?
            .body;
        print_page(&page, output)?;
        let next = page.get("next").and_then(Value::as_i64).unwrap_or(after);
        if next == after {
            break;
        }
        after = next;
    }
    if args.follow {
        follow(client, after, output).await
    } else {
        Ok(())
    }
}

fn print_page(page: &Value, output: Output) -> std::io::Result<()> {
    let events = page
        .get("events")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    events.iter().try_for_each(|event| print(event, output))
}

/// Events stream, so each is a line of its own: aligned by fixed widths, not by a table that waits for its end.
fn print(event: &Value, output: Output) -> std::io::Result<()> {
    if output == Output::Json {
        return output::line(event.to_string());
    }
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| event.get(name).and_then(Value::as_i64).unwrap_or_default();
    output::line(format!(
        "{:>8}  {}  {:<45} {:>3}  {}",
        number("position"),
        text("recordedAt"),
        text("stream"),
        number("version"),
        text("type"),
    ))
}

/// Follows the live stream and picks it up again where it broke.
async fn follow(client: &Client, mut after: i64, output: Output) -> anyhow::Result<()> {
    loop {
        match client
            .stream(&format!("/events/stream?after={after}"))
            .await
        {
            Ok(response) => after = print_stream(response.bytes_stream(), after, output).await?,
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
    output: Output,
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
            print(&event, output)?;
            after = event
                .get("position")
                .and_then(Value::as_i64)
                .unwrap_or(after);
        }
    }
    Ok(after)
}
