//! SIGTERM: not ready, no new connections, everything in flight is answered, exit 0.

use std::time::Duration;

use serde_json::{Value, json};

use super::child::{Serving, bookmarket, with};
use super::outside::Outside;
use super::server::{Answer, order_paid_by};

async fn post(url: &str, body: &Value) -> Answer {
    let response = reqwest::Client::new()
        .post(format!("{url}/orders"))
        .json(body)
        .send()
        .await
        .expect("an answer");
    Answer::of(response).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_server_answers_what_is_in_flight_and_exits_with_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serving = Serving::start(bookmarket(folder.path()));
    let url = serving.url.clone();
    let in_flight: Vec<_> = (0..5)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { post(&url, &order_paid_by("33", "slow-1000")).await })
        })
        .collect();
    let stream = reqwest::get(format!("{url}/events/stream?after=0"))
        .await
        .expect("a stream");
    assert_eq!(stream.status(), 200);
    // The orders are in flight once their first events are in the log.
    let client = reqwest::Client::new();
    loop {
        let page: Value = client
            .get(format!("{url}/events"))
            .send()
            .await
            .expect("a page")
            .json()
            .await
            .expect("JSON");
        let orders = page["events"]
            .as_array()
            .expect("events")
            .iter()
            .filter(|event| event["type"] == "Ordered");
        if orders.count() == 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    serving.terminate();
    for answer in in_flight {
        assert_eq!(answer.await.expect("no panic").status, 201);
    }
    assert_eq!(serving.exit_code().await, Some(0));
    assert!(client.get(format!("{url}/livez")).send().await.is_err());
}

/// As long as nobody listens for it, the signal kills.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_at_its_first_sign_of_life_ends_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    for _ in 0..10 {
        let mut serving = Serving::start(bookmarket(folder.path()));
        serving.terminate();
        assert_eq!(serving.exit_code().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_comparing_books_ends_in_order_and_leaves_its_turn_to_the_next_one() {
    let outside = Outside::start(Vec::new()).await;
    // The provider takes its time over its list, and is given it.
    let hour = json!({ "port": "payment", "op": "query", "fault": "delay", "delayMs": 3_600_000 });
    outside.faults(json!([hour])).await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = outside.url();
    let arguments = ["--simulator-url", &url, "--provider-timeout", "60s"];
    let mut serving = Serving::start(with(bookmarket(folder.path()), &arguments));
    comparing(&serving.url).await;
    serving.terminate();
    assert_eq!(serving.exit_code().await, Some(0));
    // The lease was given back: nobody has to wait for its end.
    let since = std::time::Instant::now();
    let mut next = Serving::start(with(bookmarket(folder.path()), &arguments));
    comparing(&next.url).await;
    assert!(
        since.elapsed() < Duration::from_secs(10),
        "{:?}",
        since.elapsed()
    );
    next.terminate();
    assert_eq!(next.exit_code().await, Some(0));
    outside.stop().await;
}

/// Waits until a comparison is under way.
async fn comparing(url: &str) {
    loop {
        let answer = reqwest::get(format!("{url}/reconcile")).await;
        let told: Value = answer.expect("an answer").json().await.expect("JSON");
        if told["running"] == true {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
