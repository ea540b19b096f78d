//! Comparing books over HTTP and by command.

use std::process::Output;

use orchestrator::providers::simulator::ledger::Op;
use serde_json::{Value, json};

use super::child::{bookmarket, complaint, run, with};
use super::outside::Outside;
use super::server::{Backend, TestServer, on_each_backend, order_paid_by};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_compares_the_books_and_reads_the_report_again() {
    on_each_backend(async |server| {
        server.placed("33").await;
        // The server compares by itself when it starts.
        server
            .eventually("/reconcile", |told| {
                told["running"] == false && told["last"].is_object()
            })
            .await;
        let wish = json!({ "since": "1h", "fix": true, "reason": "closing" });
        let answer = server.post("/reconcile", &wish).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let report = answer.body();
        assert_eq!(report["findings"], json!([]));
        assert_eq!(report["orders"], 1);
        assert_eq!(server.get("/reconcile").await.body()["last"], report);
        let metrics = server.get("/metrics").await.text();
        assert!(
            metrics.contains("bookmarket_reconcile_findings{"),
            "{metrics}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_cannot_be_read_says_where() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let answer = server
        .post("/reconcile", &json!({ "since": "soon", "fix": 1 }))
        .await;
    answer.is_problem("invalid-request", 422);
    assert_eq!(answer.pointers(), ["/fix", "/since"]);
    server.stop().await;
}

/// Runs the command beside the server.
async fn command(server: &TestServer, arguments: &[&str]) -> Output {
    let command = bookmarket(&server.folder.path().join("elsewhere"));
    let url = server.url();
    let command = with(
        command,
        &["reconcile", "--server", &url, "--output", "json"],
    );
    let command = with(command, arguments);
    tokio::task::spawn_blocking(move || run(command))
        .await
        .expect("it ran")
}

/// The one finding of a report.
fn finding(output: &Output) -> Value {
    assert!(output.status.success(), "{}", complaint(output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let findings = report["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1, "{report}");
    findings[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_what_differs_and_sets_it_right_when_it_is_told_to() {
    let outside = Outside::start(Vec::new()).await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.simulator_url = Some(outside.url());
        // Nobody else compares.
        settings.providers.reconcile_every = std::time::Duration::ZERO;
    })
    .await;
    let placed = server.place(&order_paid_by("33", "ok:1")).await;
    let order = placed.body()["orderId"].clone();
    let charge = json!({ "orderId": order, "amount": 33_000 });
    let planted = server.http.post(format!("{}/charges", outside.url()));
    let planted = planted.json(&charge).send().await.expect("an answer");
    assert_eq!(planted.status(), 201);

    let wish = ["--since", "1h", "--reason", "monthly closing"];
    let shown = finding(&command(&server, &wish).await);
    assert_eq!(
        (&shown["code"], &shown["orderId"], &shown["action"]["taken"]),
        (&json!("second-charge"), &order, &json!("none")),
        "{shown}"
    );
    assert_eq!(shown["atStake"]["amount"], 33_000);
    assert!(shown["suggestion"].is_string(), "{shown}");
    assert!(outside.done(Op::Refund).is_empty(), "looking moves nothing");

    let fixed = finding(&command(&server, &[&wish[..], &["--fix"]].concat()).await);
    assert_eq!(fixed["action"]["taken"], "fixed", "{fixed}");
    let path = format!("/payments/{}", order.as_str().expect("an id"));
    server
        .eventually(&path, |payment| payment["refunded"] == 33_000)
        .await;
    assert_eq!(outside.done(Op::Refund).len(), 1);
    // What moved before the time that is asked about is nobody's question.
    let later = command(&server, &["--since", "1s", "--reason", "again"]).await;
    assert!(later.status.success(), "{}", complaint(&later));
    let wrong = command(&server, &["--since", "soon", "--reason", "typing"]).await;
    assert!(!wrong.status.success());
    assert!(complaint(&wrong).contains("since"), "{}", complaint(&wrong));
    server.stop().await;
    outside.stop().await;
}
