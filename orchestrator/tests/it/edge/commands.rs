//! The command line: one clear line and a non-zero exit for whatever goes wrong.

use std::process::Command;

use serde_json::{Value, json};

use super::child::{Serving, bookmarket, complaint, fails, run, with};
use super::server::{Backend, TestServer};

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

/// Runs it, and checks that it ends with one line that says all of this, and with the code for wrong arguments.
#[track_caller]
fn is_misunderstood(command: Command, says: &[&str]) {
    let output = run(command);
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("error: "), "{complaint}");
    for said in says {
        assert!(complaint.contains(said), "{said}: {complaint}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn a_bad_flag_is_explained_in_one_line_and_exits_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    for bad in [
        ["--max-in-flight", "0"],
        ["--payment-budget", "100years"],
        ["--payment-budget", "0s"],
        ["--payment-budget", "31s"],
        ["--cancel-budget", "31s"],
        ["--max-connections", "0"],
        ["--cors-origin", "nope"],
        ["--default-currency", "won"],
        ["--listen", "here"],
        ["--output", "yaml"],
    ] {
        is_misunderstood(with(bookmarket(folder.path()), &bad), &bad);
    }
    let command = |words: &[&str]| with(bookmarket(folder.path()), words);
    is_misunderstood(
        command(&["serve", "--lisen", "x"]),
        &["--lisen", "--listen"],
    );
    is_misunderstood(command(&["srve"]), &["srve", "serve"]);
    is_misunderstood(command(&["erase"]), &["--customer", "--reason"]);
    is_misunderstood(
        command(&["sagas", "retry", "no-id", "--reason", "x"]),
        &["no-id"],
    );
}

#[test]
fn help_that_was_asked_for_is_no_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    for asked in ["--help", "-h", "--version"] {
        let output = run(with(bookmarket(folder.path()), &[asked]));
        assert_eq!(output.status.code(), Some(0), "{asked}");
        assert!(
            output.stderr.is_empty() && !output.stdout.is_empty(),
            "{asked}"
        );
    }
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
        &["migrate", "--database-url", &url, "--output", "json"],
    ));
    assert!(migrated.status.success(), "{}", complaint(&migrated));
    let report: Value = serde_json::from_slice(&migrated.stdout).expect("JSON");
    assert_eq!(report["log"]["applied"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["views"]["applied"].as_array().map(Vec::len), Some(5));
    assert_eq!(report["views"]["version"], 5);
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
fn commands_that_need_a_store_make_none_in_a_wrong_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("wrong");
    for arguments in [
        &["replay", "all"][..],
        &["replay", "saga", "--to-position", "0", "--out", "x.json"],
        &["preflight"],
        &["erase", "--customer", "33", "--reason", "x"],
    ] {
        fails(with(bookmarket(&wrong), arguments), "there is no log in");
        assert!(!wrong.exists());
    }
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
async fn a_saga_is_resolved_from_the_command_line() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    let waits = |saga: &Value| saga["status"] == "waiting" && saga["step"] == "handover";
    server.eventually(&format!("/sagas/{id}"), waits).await;
    let (url, folder) = (server.url(), server.folder.path().join("elsewhere"));
    let resolve = async |more: &[&str]| {
        let reason = [
            "--step",
            "handover",
            "--reason",
            "seen at the depot",
            "--output",
            "json",
            "--server",
            &url,
        ];
        let mut command = with(bookmarket(&folder), &["sagas", "resolve", &id, "done"]);
        command.args(reason).args(more);
        tokio::task::spawn_blocking(move || run(command))
            .await
            .expect("no panic")
    };
    // The carrier does not confirm it, so it takes force.
    let denied = resolve(&[]).await;
    assert_eq!(denied.status.code(), Some(1), "{}", complaint(&denied));
    let resolved = resolve(&["--force"]).await;
    assert!(resolved.status.success(), "{}", complaint(&resolved));
    let saga: Value = serde_json::from_slice(&resolved.stdout).expect("JSON");
    assert_eq!(
        (&saga["sagaId"], &saga["result"]),
        (&json!(id), &json!("waiting")),
        "{saga}"
    );
    let order = server.get(&format!("/orders/{id}")).await.body();
    assert_eq!(order["status"], "HandedOver", "{order}");
    server.stop().await;
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
        &["preflight"],
        &["replay"],
        &["migrate"],
        &["log", "export"],
        &["log", "import"],
        &["log", "verify"],
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
