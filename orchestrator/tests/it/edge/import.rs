//! `orders import` against a server.

use std::process::Output;

use serde_json::{Value, json};

use super::child::{bookmarket, complaint, run};
use super::server::{Backend, TestServer, on_each_backend, order, order_paid_by};

pub(super) async fn import(server: &TestServer, lines: &[String]) -> (Output, Value) {
    import_bytes(server, lines.join("\n").as_bytes()).await
}

async fn import_bytes(server: &TestServer, content: &[u8]) -> (Output, Value) {
    let file = server.folder.path().join("orders.jsonl");
    std::fs::write(&file, content).expect("a file");
    let mut command = bookmarket(server.folder.path());
    command
        .args([
            "orders",
            "import",
            "--output",
            "json",
            "--server",
            &server.url(),
        ])
        .arg(file);
    let output = tokio::task::spawn_blocking(move || run(command))
        .await
        .expect("no panic");
    let summary = serde_json::from_slice(&output.stdout).expect("a summary");
    (output, summary)
}

/// Lines in all, placed, repeated, declined, canceled, failed.
pub(super) fn lines_by_fate(summary: &Value) -> [u64; 6] {
    let fates = [
        "lines", "placed", "repeated", "declined", "canceled", "failed",
    ];
    fates.map(|fate| summary[fate].as_u64().expect("a count"))
}

fn line(number: usize, change: impl FnOnce(&mut Value)) -> String {
    let mut order = order(&format!("customer-{}", number % 5));
    order["externalId"] = json!(format!("day/{number}"));
    order["placedAt"] = json!("2018-01-01T00:00:00Z");
    change(&mut order);
    order.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_accounted_for_and_a_second_import_adds_nothing() {
    on_each_backend(async |server| {
        let mut lines: Vec<String> = (0..40).map(|number| line(number, |_| {})).collect();
        lines.extend(
            (40..45).map(|number| line(number, |order| order["outcome"] = json!("Cancelled"))),
        );
        lines.push(line(45, |order| *order = order_paid_by("d", "decline")));
        let (output, first) = import(server, &lines).await;
        assert!(output.status.success(), "{}", complaint(&output));
        assert_eq!(lines_by_fate(&first), [46, 45, 0, 1, 5, 0]);
        let (output, second) = import(server, &lines[..45]).await;
        assert!(output.status.success(), "{}", complaint(&output));
        assert_eq!(lines_by_fate(&second), [45, 0, 45, 0, 5, 0]);
        server
            .eventually("/orders?status=Canceled&size=100", |list| {
                list["page"]["count"] == 5
            })
            .await;
        assert_eq!(
            server.get("/orders?size=100").await.body()["page"]["count"],
            46
        );
        let canceled = server.get("/orders?status=Canceled&size=100").await.body();
        for order in canceled["_embedded"]["orders"].as_array().expect("orders") {
            let id = order["orderId"].as_str().expect("an id");
            let payment = server.get(&format!("/payments/{id}")).await.body();
            assert_eq!(payment["charged"], order["total"], "{payment}");
            assert_eq!(payment["refunded"], payment["charged"], "{payment}");
            assert!(payment["refunded"].as_i64().is_some_and(|back| back > 0));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_line_is_named_and_does_not_stop_the_rest() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let lines = [
        line(0, |_| {}),
        "{ not json".to_owned(),
        String::new(),
        line(1, |order| order["lines"] = json!([])),
        line(2, |order| order["outcome"] = json!("Lost")),
        line(3, |_| {}),
    ];
    let (output, summary) = import(&server, &lines).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        (&summary["placed"], &summary["failed"], &summary["lines"]),
        (&json!(2), &json!(3), &json!(5))
    );
    let complaint = complaint(&output);
    for expected in ["line 2: not JSON", "line 4: ", "/lines", "line 5: /outcome"] {
        assert!(
            complaint.contains(expected),
            "{expected} is not in {complaint}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_not_utf_8_is_refused_and_not_repaired() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let latin_1 = line(1, |order| order["contact"]["name"] = json!("Ren?")).into_bytes();
    let latin_1 = latin_1
        .into_iter()
        .map(|byte| if byte == b'?' { 0xe9 } else { byte });
    let mut content = line(0, |_| {}).into_bytes();
    content.push(b'\n');
    content.extend(latin_1);
    let (output, summary) = import_bytes(&server, &content).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        (&summary["placed"], &summary["failed"]),
        (&json!(1), &json!(1))
    );
    assert!(complaint(&output).contains("line 2: not UTF-8"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_that_failed_is_named_however_many_there_are() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let mut lines = vec!["no order".to_owned(); 60];
    lines[6] = line(6, |_| {});
    let (output, summary) = import(&server, &lines).await;
    assert_eq!(output.status.code(), Some(1));
    let failed: Vec<u64> = (1..=60).filter(|number| *number != 7).collect();
    assert_eq!(summary["failed"], failed.len());
    assert_eq!(summary["failedLines"], json!(failed));
    let told = complaint(&output);
    let (explained, others) = told
        .split_once("failed as well: lines ")
        .expect("the lines beyond the first are named");
    let explained = explained.lines().filter(|said| said.starts_with("line "));
    assert_eq!(explained.count(), 50, "{told}");
    // Nine lines in as many as nine runs.
    let numbers = others.split([',', '-']).map(|number| number.trim().parse());
    assert!(
        numbers
            .clone()
            .all(|number: Result<u64, _>| number.is_ok_and(|n| n <= 60)),
        "{told}"
    );
    server.stop().await;
}
