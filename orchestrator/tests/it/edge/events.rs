//! `events --follow` beside a server.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::child::{bookmarket, with};
use super::server::{Backend, PATIENCE, TestServer};

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

#[tokio::test(flavor = "multi_thread")]
async fn one_order_is_followed_from_a_position_on_and_no_other_shows() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    let mut command = with(
        bookmarket(server.folder.path()),
        &[
            "events",
            "--order",
            &id,
            "--after",
            "2",
            "--follow",
            "--output",
            "json",
            "--server",
            &server.url(),
        ],
    );
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = move || -> Value {
        let line = lines.next().expect("it follows").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    };
    let (first, next) = tokio::task::spawn_blocking(move || (next(), next))
        .await
        .expect("no panic");
    assert_eq!(first["position"], 3, "{first}");
    // The command is past what was there when it began.
    server.placed("34").await;
    let canceled = server.delete(&format!("/orders/{id}")).await;
    assert!(canceled.status < 300, "{}", canceled.text());
    let followed = tokio::task::spawn_blocking(move || {
        let mut next = next;
        let mut seen = vec![first];
        while seen.last().expect("one")["type"] != "OrderCanceled" {
            seen.push(next());
        }
        seen
    });
    let seen = tokio::time::timeout(PATIENCE, followed)
        .await
        .expect("in time")
        .expect("no panic");
    for event in &seen {
        let stream = event["stream"].as_str().expect("a stream");
        assert!(stream.ends_with(&id), "{event}");
    }
    let positions: Vec<_> = seen.iter().map(|e| e["position"].as_i64()).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    child.kill().expect("killed");
    child.wait().expect("gone");
    server.stop().await;
}
