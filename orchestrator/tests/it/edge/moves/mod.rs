//! A log that is moved, by the commands that its owners have.

mod ends;
mod killed;
mod restored;
mod shop;

use std::path::{Path, PathBuf};
use std::process::Command;

use eventstore::testing::TestLog;
use eventstore::{
    Category, EventStore, Expected, Location, NewEvent, Options, StreamAppend, StreamId,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::child::{bookmarket, complaint, last_line, run, with};

/// Most events of an append.
const APPEND: usize = 1_000;

/// The binary on this log, with its files in `data_dir`.
fn on(location: &Location, data_dir: &Path) -> Command {
    match location {
        Location::Sqlite { dir } => bookmarket(dir),
        Location::Postgres { url } => {
            let mut command = bookmarket(data_dir);
            command.env("DATABASE_URL", url.expose_secret());
            command
        }
    }
}

/// Runs a command that must succeed, and gives the last that it says as JSON.
fn told(command: Command, arguments: &[&str]) -> Value {
    let output = run(with(with(command, arguments), &["--output", "json"]));
    assert!(output.status.success(), "{}", complaint(&output));
    last_line(&output)
}

/// Runs it beside the tasks of the test, which may be a server that it waits for.
async fn told_beside(command: Command, arguments: &[&str]) -> Value {
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    let work = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        told(command, &arguments)
    };
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// Fills a log with so many events that mean nothing.
async fn fill(log: &TestLog, count: usize) -> EventStore {
    let store = log.open_with(Options::default()).await;
    let event = || NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "Noted".into(),
        schema_version: 1,
        data: RawValue::from_string(format!(r#"{{"note":"{}"}}"#, Uuid::new_v4())).expect("JSON"),
        metadata: RawValue::from_string("{}".to_owned()).expect("JSON"),
    };
    let mut left = count;
    while left > 0 {
        let now = left.min(APPEND);
        let append = StreamAppend {
            stream: StreamId::new(Category::from_static("note"), Uuid::now_v7()),
            expected: Expected::NoStream,
            events: (0..now).map(|_| event()).collect(),
        };
        store.append(vec![append]).await.expect("stored");
        left -= now;
    }
    store
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

/// Where an export is until it is whole.
fn part(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}
