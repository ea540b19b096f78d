//! A verb for many sagas: sends it to the server, shows what comes of each, and stops when told to.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Method, Response};
use serde_json::{Map, Value, json};

use super::{is_well, table};
use crate::cli::args::VerbArgs;
use crate::cli::client::Client;
use crate::cli::interrupt::{INTERRUPTED, unless_interrupted};
use crate::cli::output;
use crate::config::Output;

/// Columns of what came of each, as they are named on the wire.
const COLUMNS: [&str; 6] = ["sagaId", "canary", "step", "result", "until", "reason"];

/// What sagas can be chosen by.
const FIELDS: [&str; 4] = ["saga", "status", "step", "reason"];

/// What was heard of it so far.
#[derive(Default)]
struct Heard {
    rows: Vec<Value>,
    under_way: BTreeSet<String>,
    selected: u64,
    summary: Option<Value>,
}

/// Has the server do it, and fails unless all went well.
pub(super) async fn run(
    client: &Client,
    args: &VerbArgs,
    verb: &str,
    mut body: Map<String, Value>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let bulk = &args.bulk;
    let fields = json!({
        "verb": verb, "where": conditions(bulk.only.as_deref().unwrap_or_default())?, "rate": bulk.rate,
        "canary": bulk.canary, "limit": bulk.limit, "dryRun": bulk.dry_run, "waitSeconds": args.wait.as_secs(),
    });
    body.extend(fields.as_object().cloned().unwrap_or_default());
    let request = client.request(Method::POST, "/sagas/bulk").json(&body);
    let answer = client.open(request).await?;
    let bar = bar();
    let mut heard = Heard::default();
    let listening = listen(answer, &bar, &mut heard, output);
    let interrupted = unless_interrupted(listening).await?.transpose()?.is_none();
    bar.finish_and_clear();
    if interrupted {
        // Hanging up has stopped the server; what it had begun goes on by itself.
        heard.ask_after(client, output).await?;
    }
    if output == Output::Table {
        output::line(table(&COLUMNS, &heard.rows).to_string())?;
    }
    heard.conclude(interrupted)
}

/// Reads the account line by line until it ends.
async fn listen(
    answer: Response,
    bar: &ProgressBar,
    heard: &mut Heard,
    output: Output,
) -> anyhow::Result<()> {
    let mut chunks = answer.bytes_stream();
    let mut text = Vec::new();
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk.context("the server hung up; what it had begun goes on")?);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let line: Value =
                serde_json::from_slice(&line).context("the server sent a line that is not JSON")?;
            heard.note(line, bar, output)?;
        }
    }
    Ok(())
}

impl Heard {
    fn note(&mut self, line: Value, bar: &ProgressBar, output: Output) -> anyhow::Result<()> {
        let kind = line
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let saga = line
            .get("sagaId")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        match kind.as_str() {
            "selected" => {
                self.selected = line
                    .get("count")
                    .and_then(Value::as_u64)
                    .unwrap_or_default();
                bar.set_length(self.selected);
            }
            "begun" => {
                self.under_way.insert(saga);
            }
            "saga" => {
                self.under_way.remove(&saga);
                bar.inc(1);
                self.row(line, output)?;
            }
            "summary" => self.summary = Some(line),
            _ => {}
        }
        Ok(())
    }

    /// Lines of JSON are printed as they come; a table waits for its end.
    fn row(&mut self, row: Value, output: Output) -> std::io::Result<()> {
        if output == Output::Json {
            output::line(row.to_string())?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Where those are that were begun and not heard of again.
    async fn ask_after(&mut self, client: &Client, output: Output) -> anyhow::Result<()> {
        for saga in std::mem::take(&mut self.under_way) {
            let now = client.get(&format!("/sagas/{saga}")).await?.body;
            let field = |name: &str| now.get(name).cloned().unwrap_or_default();
            let row = json!({
                "type": "saga", "sagaId": saga, "step": field("step"), "result": field("status"),
                "until": field("dueAt"), "reason": field("reason"),
            });
            self.row(row, output)?;
        }
        Ok(())
    }

    /// Says in one line how it went.
    fn conclude(self, interrupted: bool) -> anyhow::Result<ExitCode> {
        let done = self.rows.len() as u64;
        let untouched = self.selected.saturating_sub(done);
        if interrupted {
            output::note(format!(
                "stopped: {done} of {} done, {untouched} untouched",
                self.selected
            ));
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let Some(summary) = self.summary else {
            anyhow::bail!(
                "the server hung up after {done} of {}; what it had begun goes on",
                self.selected
            );
        };
        let results = summary.get("results").cloned().unwrap_or_default();
        let results = super::plain(&results);
        output::note(match summary.get("stopped").and_then(Value::as_str) {
            Some("canary") => {
                format!("the first did not go well, so {untouched} were left: {results}")
            }
            Some(_) => {
                format!("the server stopped, so {untouched} were left: {results}")
            }
            None if self.selected == 0 => "no saga is like that".to_owned(),
            None => results,
        });
        if summary.get("more") == Some(&Value::Bool(true)) {
            output::note("there are more like these; --limit cut them off");
        }
        let all_well = self.rows.iter().all(|row| {
            let result = row.get("result").and_then(Value::as_str);
            result.is_some_and(is_well)
        });
        let whole = summary.get("stopped").is_none_or(Value::is_null);
        Ok(if all_well && whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// `step=pay,reason=no money, no book` as an object; a comma that no field follows belongs to the text before it.
fn conditions(text: &str) -> anyhow::Result<Value> {
    let mut conditions: Vec<(String, String)> = Vec::new();
    for part in text.split(',') {
        let field = part
            .split_once('=')
            .filter(|(name, _)| FIELDS.contains(&name.trim()));
        match (field, conditions.last_mut()) {
            (Some((name, value)), _) => {
                conditions.push((name.trim().to_owned(), value.to_owned()));
            }
            (None, Some((_, text))) => {
                text.push(',');
                text.push_str(part);
            }
            (None, None) => anyhow::bail!(
                "--where {part}: sagas are chosen by {}, as in step=pay,status=parked",
                FIELDS.join(", ")
            ),
        }
    }
    Ok(conditions
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect::<Map<_, _>>()
        .into())
}

fn bar() -> ProgressBar {
    let template = "{wide_bar} {pos}/{len} sagas  {per_sec}  {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_reason_is_no_end_of_it() {
        let read = conditions("step=pay,reason=no money, no book,status=parked").expect("good");
        let expected = json!({ "step": "pay", "reason": "no money, no book", "status": "parked" });
        assert_eq!(read, expected);
        assert!(conditions("pay").is_err());
        assert!(conditions("speed=1").is_err());
    }
}
