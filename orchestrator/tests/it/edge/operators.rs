//! Intervening in many sagas, over HTTP and from the command line, and asking whether a build can take over.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use aggregates::saga::{SagaEvent, SagaStarted, encode};
use chrono::Utc;
use eventstore::{Expected, NewEvent, StreamAppend, StreamId};
use orchestrator::saga::view::SAGA;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use uuid::Uuid;

use super::child::{Serving, bookmarket, complaint, run};
use super::server::{Answer, Backend, TestServer, on_each_backend};
use crate::town::{STUCK, until};

/// Orders whose parcel waits for the van.
async fn waiting(server: &TestServer, count: usize) -> Vec<String> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(server.placed("33").await);
    }
    let all = |list: &Value| list["page"]["count"] == count;
    server
        .eventually("/sagas?status=waiting&step=handover&size=500", all)
        .await;
    orders
}

fn cancel_all() -> Value {
    json!({
        "verb": "cancel", "reason": "recall", "where": { "status": "waiting", "step": "handover", "saga": "fulfilment" },
        "rate": "100/s", "canary": 1,
    })
}

/// The lines of an answer.
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(answer.bytes.clone()).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn of<'a>(lines: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["type"] == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sagas_are_canceled_in_one_request_which_tells_what_came_of_each() {
    on_each_backend(async |server| {
        let orders = waiting(server, 4).await;
        let answer = server.post("/sagas/bulk", &cancel_all()).await;
        let lines = lines(&answer);
        assert_eq!(
            lines[0],
            json!({ "type": "selected", "count": 4, "more": false })
        );
        let mut ended: Vec<_> = of(&lines, "saga")
            .map(|line| line["sagaId"].as_str().expect("an id").to_owned())
            .collect();
        ended.sort();
        let mut expected = orders.clone();
        expected.sort();
        assert_eq!(ended, expected);
        assert!(of(&lines, "saga").all(|line| line["result"] == "unwound"));
        assert_eq!(
            of(&lines, "saga")
                .filter(|line| line["canary"] == true)
                .count(),
            1
        );
        let summary = lines.last().expect("a last line");
        assert_eq!(
            (&summary["type"], &summary["results"], &summary["stopped"]),
            (&json!("summary"), &json!({ "unwound": 4 }), &Value::Null)
        );
        for order in orders {
            let order = server.get(&format!("/orders/{order}")).await.body();
            assert_eq!(order["status"], "Canceled");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_that_gets_nowhere_keeps_the_others_from_being_asked() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    waiting(&server, 3).await;
    let skip = json!({
        "verb": "skip", "reason": "no van will come", "where": { "status": "waiting", "step": "handover" },
        "canary": 1, "rate": "100/s",
    });
    let lines = lines(&server.post("/sagas/bulk", &skip).await);
    let first: Vec<_> = of(&lines, "saga").collect();
    assert_eq!((first.len(), &first[0]["result"]), (1, &json!("refused")));
    assert_eq!(
        first[0]["reason"],
        "handover cannot be skipped: the saga rests on it"
    );
    let summary = lines.last().expect("a last line");
    assert_eq!(
        (&summary["stopped"], &summary["untouched"]),
        (&json!("canary"), &json!(2))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_for_many_is_told_field_by_field() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let wrong = json!({
        "verb": "dance", "where": { "status": "Parked", "mood": "bad" }, "rate": "5/fortnight", "canary": -1, "limit": 0,
    });
    let refused = server.post("/sagas/bulk", &wrong).await;
    refused.is_problem("invalid-request", 422);
    assert_eq!(
        refused.pointers(),
        [
            "/canary",
            "/limit",
            "/rate",
            "/reason",
            "/verb",
            "/where/mood",
            "/where/status"
        ]
    );
    let nobody = json!({ "verb": "skip", "reason": "x", "where": { "step": "track" } });
    let lines = lines(&server.post("/sagas/bulk", &nobody).await);
    assert_eq!((lines.len(), &lines[0]["count"]), (2, &json!(0)));
    server.stop().await;
}

/// Runs a command line against a server, beside the test.
async fn ask(server: &TestServer, arguments: &[&str]) -> Output {
    let mut command = bookmarket(&server.folder.path().join("elsewhere"));
    command.args(arguments).args(["--server", &server.url()]);
    let ran = tokio::task::spawn_blocking(move || run(command)).await;
    ran.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_from_the_command_line_says_what_came_of_it() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let orders = waiting(&server, 3).await;
    let all = "status=waiting,step=handover";
    let rehearsal = [
        "sagas",
        "cancel",
        "--where",
        all,
        "--reason",
        "recall",
        "--dry-run",
    ];
    let output = ask(&server, &rehearsal).await;
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(
        complaint(&output).contains("would 3"),
        "{}",
        complaint(&output)
    );

    let one = [
        "sagas", "cancel", &orders[0], "--reason", "x", "--output", "json",
    ];
    let output = ask(&server, &one).await;
    assert!(output.status.success(), "{}", complaint(&output));
    let saga: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(saga["result"], "unwound");

    let many = [
        "sagas", "cancel", "--where", all, "--reason", "recall", "--rate", "100/s", "--canary",
        "1", "--output", "json",
    ];
    let output = ask(&server, &many).await;
    assert!(output.status.success(), "{}", complaint(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let results: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["result"].clone())
        .collect();
    assert_eq!(results, ["unwound", "unwound"]);

    let refused = ["sagas", "skip", &orders[1], "--reason", "x"];
    let output = ask(&server, &refused).await;
    assert_eq!(output.status.code(), Some(1));
    let neither = ["sagas", "retry", "--reason", "x"];
    assert_eq!(ask(&server, &neither).await.status.code(), Some(2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_command_stops_the_server_before_the_next_saga() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    waiting(&server, 4).await;
    let mut command = bookmarket(&server.folder.path().join("elsewhere"));
    let slowly = [
        "sagas",
        "cancel",
        "--where",
        "status=waiting",
        "--reason",
        "recall",
        "--rate",
        "2/m",
        "--output",
        "json",
    ];
    command.args(slowly).args(["--server", &server.url()]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let interrupted = tokio::task::spawn_blocking(move || {
        let first = out.next().expect("a line").expect("text");
        let id = i32::try_from(child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("an id"), Signal::INT).expect("it can be told");
        let output = child.wait_with_output().expect("it ends");
        (first, output)
    });
    let (first, output) = interrupted.await.expect("no panic");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(first["result"], "unwound");
    assert_eq!(output.status.code(), Some(130), "{}", complaint(&output));
    assert!(
        complaint(&output).contains("stopped: 1 of 4 done, 3 untouched"),
        "{}",
        complaint(&output)
    );
    // The place is free again as soon as the server has noticed, and the list shows it a moment later.
    let dry = json!({ "verb": "cancel", "reason": "x", "where": { "status": "waiting" }, "dryRun": true });
    until("a list without what was done", STUCK, async || {
        let answer = server.post("/sagas/bulk", &dry).await;
        if answer.status != 200 {
            answer.is_problem("conflict", 409);
            return None;
        }
        (lines(&answer)[0]["count"] == 3).then_some(())
    })
    .await;
    server.stop().await;
}

/// Plants a saga that no build of this shop has ever heard of.
async fn plant_a_stranger(server: &TestServer) -> Uuid {
    let started = SagaEvent::from(SagaStarted {
        saga: "trip".to_owned(),
        version: 7,
        input: Value::Null,
        at: Utc::now(),
    });
    let id = Uuid::now_v7();
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "SagaStarted".into(),
        schema_version: 1,
        data: encode(&started).expect("JSON"),
        metadata: to_raw_value(&json!({})).expect("JSON"),
    };
    let append = StreamAppend {
        stream: StreamId::new(SAGA.clone(), id),
        expected: Expected::NoStream,
        events: vec![event],
    };
    let store = &server.edge().store;
    store.append(vec![append]).await.expect("appended");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_reads_beside_a_running_server_and_fails_when_a_saga_cannot_be_continued() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    server.placed("33").await;
    let data = server.folder.path().join("data");
    let preflight = async || {
        let mut command = bookmarket(&data);
        command.args(["preflight", "--output", "json"]);
        let output = tokio::task::spawn_blocking(move || run(command)).await;
        let output = output.expect("no panic");
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", complaint(&output)));
        (output.status.code(), report)
    };
    let (code, report) = preflight().await;
    assert_eq!(
        (code, &report["running"], &report["cannotContinue"]),
        (Some(0), &json!(1), &json!(0))
    );
    let stranger = plant_a_stranger(&server).await;
    let (code, report) = preflight().await;
    assert_eq!(
        (code, &report["running"], &report["cannotContinue"]),
        (Some(1), &json!(2), &json!(1))
    );
    let listed = &report["sagas"][0];
    assert_eq!(listed["sagaId"], stranger.to_string());
    assert_eq!(listed["why"], "this build does not run saga trip version 7");
    server.stop().await;
}

#[test]
fn preflight_reads_beside_the_process_that_holds_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let _serving = Serving::start(bookmarket(folder.path()));
    let mut command = bookmarket(folder.path());
    command.arg("preflight");
    let output = run(command);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(complaint(&output).contains("can continue all 0 running sagas"));
}
