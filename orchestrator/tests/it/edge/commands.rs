//! The command line: one clear line and a non-zero exit for whatever goes wrong.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::child::{Serving, bookmarket, complaint, run};
use super::server::{Backend, PATIENCE, TestServer};

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// Runs it, and checks that it ends with one line and a non-zero exit.
#[track_caller]
fn fails(command: Command, says: &str) {
    let output = run(command);
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(
        complaint.starts_with("error: ") && complaint.contains(says),
        "{complaint}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn what_cannot_work_ends_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = || bookmarket(folder.path());
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=2";
    fails(
        with(
            command(),
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database-url",
                nowhere,
            ],
        ),
        "unavailable",
    );
    fails(
        with(command(), &["migrate", "--database-url", "not a url"]),
        "malformed",
    );
    fails(
        with(command(), &["serve", "--listen", "0.0.0.0:0"]),
        "--api-tokens",
    );
    fails(
        with(
            command(),
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--api-tokens",
                "/nowhere",
            ],
        ),
        "/nowhere",
    );
    fails(with(command(), &["serve", "--log", "a=b=c"]), "--log");
    fails(
        with(command(), &["orders", "import", "/nowhere.jsonl"]),
        "/nowhere.jsonl",
    );
    fails(
        with(
            command(),
            &["sagas", "list", "--server", "http://127.0.0.1:1"],
        ),
        "cannot reach",
    );
    fails(
        with(command(), &["sagas", "list", "--server", "localhost"]),
        "is no URL",
    );
    fails(with(command(), &["bench", "append"]), "--database-url");
}

#[test]
fn a_bad_flag_is_explained_and_exits_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    for bad in [
        ["--max-in-flight", "0"],
        ["--payment-budget", "100years"],
        ["--payment-budget", "0s"],
        ["--max-connections", "0"],
        ["--cors-origin", "nope"],
        ["--default-currency", "won"],
        ["--listen", "here"],
    ] {
        let output = run(with(bookmarket(folder.path()), &bad));
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
        assert!(
            complaint(&output).contains(bad[0]),
            "{}",
            complaint(&output)
        );
    }
    let output = run(with(bookmarket(folder.path()), &["serve", "--lisen", "x"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        complaint(&output).contains("--listen"),
        "{}",
        complaint(&output)
    );
}

#[test]
fn a_second_server_on_one_directory_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Serving::start(bookmarket(folder.path()));
    fails(
        with(
            bookmarket(folder.path()),
            &["serve", "--listen", "127.0.0.1:0"],
        ),
        "in use by another process",
    );
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(run(with(bookmarket(folder.path()), &["migrate"])));
    let database = eventstore::testing::TestDatabase::create();
    let url = database.url();
    let migrated = run(with(
        bookmarket(folder.path()),
        &["migrate", "--database-url", &url],
    ));
    assert!(migrated.status.success(), "{}", complaint(&migrated));
    database
        .try_execute("UPDATE log_schema SET oldest_binary = 1000")
        .expect("the schema moves on");
    fails(
        with(
            bookmarket(folder.path()),
            &["serve", "--listen", "127.0.0.1:0", "--database-url", &url],
        ),
        "newer build",
    );
}

#[test]
fn a_replay_beside_a_server_is_done_by_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(bookmarket(folder.path()));
    let output = run(with(
        bookmarket(folder.path()),
        &["replay", "all", "--output", "json"],
    ));
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(complaint(&output).contains(&serving.url));
    let done: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(done.as_array().map(Vec::len), Some(3));
}

#[test]
fn a_replay_without_a_server_opens_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(run(with(bookmarket(folder.path()), &["migrate"])));
    let output = run(with(bookmarket(folder.path()), &["replay", "customer"]));
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("customer"));
}

#[test]
fn commands_that_need_a_store_make_none_in_a_wrong_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("wrong");
    for arguments in [
        &["replay", "all"][..],
        &["erase", "--customer", "33", "--reason", "x"],
    ] {
        fails(with(bookmarket(&wrong), arguments), "there is no log in");
        assert!(!wrong.exists());
    }
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_new_directory_and_much_with_a_bad_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(run(with(bookmarket(folder.path()), &["migrate"])));
    let healthy = run(with(
        bookmarket(folder.path()),
        &["doctor", "--output", "json"],
    ));
    assert!(
        healthy.status.success(),
        "{}",
        String::from_utf8_lossy(&healthy.stdout)
    );
    let ill = run(with(
        bookmarket(folder.path()),
        &["doctor", "--listen", "0.0.0.0:1", "--output", "json"],
    ));
    assert_eq!(ill.status.code(), Some(1));
    let findings: Value = serde_json::from_slice(&ill.stdout).expect("JSON");
    let bad: Vec<&Value> = findings
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["verdict"] == "bad")
        .collect();
    assert!(
        bad.len() == 1
            && bad[0]["advice"]
                .as_str()
                .is_some_and(|advice| advice.contains("--api-tokens")),
        "{bad:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_sagas_and_events_are_shown_and_changed_from_the_command_line() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    server
        .eventually(&format!("/sagas/{id}"), |saga| saga["step"] == "handover")
        .await;
    let (url, folder) = (server.url(), server.folder.path().join("elsewhere"));
    let ask = async |arguments: &[&str]| {
        let mut command = with(bookmarket(&folder), arguments);
        command.args(["--server", &url, "--output", "json"]);
        let output = tokio::task::spawn_blocking(move || run(command))
            .await
            .expect("no panic");
        assert!(output.status.success(), "{}", complaint(&output));
        String::from_utf8(output.stdout).expect("text")
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(json(&ask(&["orders", "show", &id]).await)["orderId"], id);
    assert_eq!(json(&ask(&["sagas", "show", &id]).await)["sagaId"], id);
    server
        .eventually("/sagas", |list| list["page"]["count"] == 1)
        .await;
    assert_eq!(json(&ask(&["sagas", "list"]).await)[0]["sagaId"], id);
    assert!(ask(&["events"]).await.lines().count() > 5);
    assert!(ask(&["events", "--order", &id]).await.lines().all(|line| {
        json(line)["stream"]
            .as_str()
            .is_some_and(|s| s.ends_with(&id))
    }));
    assert_eq!(
        json(&ask(&["orders", "cancel", &id, "--reason", "x"]).await)["status"],
        "Canceled"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_as_they_happen() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let mut command = with(
        bookmarket(server.folder.path()),
        &[
            "events",
            "--follow",
            "--output",
            "json",
            "--server",
            &server.url(),
        ],
    );
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let id = server.placed("33").await;
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let shipped = tokio::task::spawn_blocking(move || {
        let mut events =
            lines.map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON"));
        events.find(|event| event["type"] == "Shipped")
    });
    let shipped = tokio::time::timeout(PATIENCE, shipped)
        .await
        .expect("in time")
        .expect("no panic");
    assert_eq!(
        shipped.expect("an event")["stream"],
        format!("delivery-{id}")
    );
    child.kill().expect("killed");
    child.wait().expect("gone");
    server.stop().await;
}

#[test]
fn the_demo_shows_its_orders_to_the_end_and_the_log_vouches_for_its_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = [
        "demo",
        "--exit",
        "--orders",
        "60",
        "--listen",
        "127.0.0.1:0",
        "--output",
        "json",
    ];
    let output = run(with(bookmarket(folder.path()), &demo));
    assert!(output.status.success(), "{}", complaint(&output));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let count = |what: &str| {
        let rows = result["rows"].as_array().expect("rows").iter();
        rows.clone()
            .find(|row| {
                row["what"]
                    .as_str()
                    .is_some_and(|row| row.starts_with(what))
            })
            .map(|row| row["log"].clone())
    };
    assert_eq!(count("orders placed"), Some(60.into()));
    assert_eq!(count("payment declined"), Some(5.into()));
    assert_eq!(count("still moving"), Some(0.into()));
    assert_eq!(result["violations"], Value::Array(Vec::new()));
    let touched = std::fs::read_dir(folder.path())
        .map(Iterator::count)
        .unwrap_or_default();
    assert_eq!(
        touched, 0,
        "the demo stays away from the directory of real orders"
    );
}

#[test]
fn every_command_explains_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in [
        &["serve"][..],
        &["demo"],
        &["orders", "import"],
        &["orders", "show"],
        &["orders", "cancel"],
        &["events"],
        &["sagas", "list"],
        &["sagas", "resolve"],
        &["replay"],
        &["migrate"],
        &["erase"],
        &["doctor"],
        &["bench"],
    ] {
        let output = run(with(with(bookmarket(folder.path()), words), &["--help"]));
        assert!(output.status.success(), "{words:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("Usage:"),
            "{words:?}"
        );
    }
}
