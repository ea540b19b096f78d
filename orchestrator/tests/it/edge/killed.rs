//! `kill -9` at the worst moment: an order is stored, its payment is under way, and nobody has been told anything.

use eventstore::testing::TestDatabase;
use reqwest::Client;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

use super::child::{Serving, bookmarket};
use super::server::{PATIENCE, order_paid_by};

async fn ask(url: String) -> Value {
    let answer = reqwest::get(url).await.expect("an answer");
    answer.json().await.expect("JSON")
}

/// Asks again until the document says what is wanted.
async fn eventually<T>(url: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask(url.to_owned()).await;
        if let Some(wanted) = wanted(&found) {
            return wanted;
        }
        assert!(Instant::now() < deadline, "{url} is still {found}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn count(events: &Value, kind: &str) -> usize {
    let events = events["events"].as_array().expect("events");
    events.iter().filter(|event| event["type"] == kind).count()
}

/// The process is killed while the provider takes its time, and started again on what it left.
async fn killed_while_it_charges(database: Option<&str>) {
    let folder = tempfile::tempdir().expect("a folder");
    let command = || {
        let mut command = bookmarket(folder.path());
        command.envs(database.map(|url| ("DATABASE_URL", url)));
        command
    };
    let mut first = Serving::start(command());
    let posted = tokio::spawn(post(first.url.clone(), "cart-9"));
    let begun = |events: &Value| (count(events, "StepStarted") > 0).then_some(());
    eventually(&format!("{}/events", first.url), begun).await;
    first.child.kill().expect("killed");
    first.child.wait().expect("gone");
    let answer = posted.await.expect("no panic");
    assert!(answer.is_err(), "answered before it was killed: {answer:?}");

    let second = Serving::start(command());
    let id = eventually(&format!("{}/events", second.url), |events| {
        let first = &events["events"][0]["data"]["orderId"];
        first.as_str().map(str::to_owned)
    })
    .await;
    let order = format!("{}/orders/{id}", second.url);
    eventually(&order, |order| (order["status"] == "Shipped").then_some(())).await;
    let events = ask(format!("{order}/events")).await;
    for (kind, times) in [("Ordered", 1), ("Paid", 1), ("Shipped", 1)] {
        assert_eq!(count(&events, kind), times, "{kind}: {events}");
    }
    let ledger = std::fs::read_to_string(folder.path().join("simulator.jsonl")).expect("a ledger");
    let charges = ledger
        .lines()
        .filter(|line| line.contains(r#""op":"charge""#) && line.contains(r#""result":"done""#));
    assert_eq!(charges.count(), 1, "{ledger}");
    // The customer, who has heard nothing, asks again.
    let again = post(second.url.clone(), "cart-9").await.expect("an answer");
    assert_eq!(again.status(), 201);
    assert_eq!(
        again.json::<Value>().await.expect("JSON")["orderId"],
        id.as_str()
    );
}

async fn post(url: String, key: &str) -> reqwest::Result<reqwest::Response> {
    let request = Client::new().post(format!("{url}/orders"));
    let request = request.header("Idempotency-Key", key);
    request.json(&order_paid_by("33", "slow-1000")).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_flight_at_kill_9_is_finished_by_the_next_process() {
    killed_while_it_charges(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_flight_at_kill_9_is_finished_by_the_next_process_on_postgres() {
    let database = TestDatabase::create();
    killed_while_it_charges(Some(&database.url())).await;
}
