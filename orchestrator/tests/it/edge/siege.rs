//! The load test of the services this replaces: 100 clients tell customers something while the message dealer takes 400 ms,
//! give or take 220. There, 88.64 % of the requests were answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use orchestrator::providers::simulator::ledger::Op;
use orchestrator::providers::simulator::wire::Preset;
use serde_json::json;
use tokio::time::Instant;

use super::outside::Outside;
use super::server::{Backend, PATIENCE, TestServer};
use crate::soak;

/// Clients at once.
const CLIENTS: usize = 100;

/// All of the siege.
const LENGTH: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn a_slow_dealer_fails_no_request_to_tell_customers_something() {
    let outside = Outside::start(vec![Preset::SlowDealer]).await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.simulator_url = Some(outside.url());
    })
    .await;
    let about = server.placed("33").await;
    let message =
        json!({"orderId": about, "customerId": "33", "status": "Shipped", "message": "sss"});
    let (until, requests) = (Instant::now() + soak::length(LENGTH), AtomicUsize::new(0));
    let client = async || {
        let (mut longest, mut failed) = (Duration::ZERO, Vec::new());
        while Instant::now() < until {
            let asked = Instant::now();
            let answer = server.post("/kakaos", &message).await;
            if answer.status != 201 {
                failed.push(answer.text());
            }
            longest = longest.max(asked.elapsed());
            requests.fetch_add(1, Ordering::Relaxed);
        }
        (longest, failed)
    };
    let clients = (0..CLIENTS).map(|_| client());
    let clients = futures_util::future::join_all(clients).await;
    let requests = requests.into_inner();
    let longest = clients.iter().map(|(longest, _)| *longest).max();
    let failed: Vec<_> = clients.into_iter().flat_map(|(_, failed)| failed).collect();
    let answered = requests - failed.len();
    println!(
        "figure: siege clients={CLIENTS} requests={requests} failed={} availability={:.2}% longest={:?}",
        failed.len(),
        answered as f64 * 100.0 / requests as f64,
        longest.unwrap_or_default()
    );
    assert_eq!(failed, [""; 0]);
    assert!(requests > CLIENTS, "only {requests} requests");
    all_are_sent(&outside, requests + 1).await;
    server.stop().await;
    outside.stop().await;
}

/// The dealer catches up as fast as it can, and gets each message once.
async fn all_are_sent(outside: &Outside, messages: usize) {
    let (mut before, mut last_news) = (0, Instant::now());
    loop {
        let sent = outside.done(Op::Send).len();
        if sent >= messages {
            assert_eq!(sent, messages);
            return;
        }
        if sent > before {
            (before, last_news) = (sent, Instant::now());
        }
        assert!(
            last_news.elapsed() < PATIENCE,
            "{sent} of {messages} messages were sent"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
