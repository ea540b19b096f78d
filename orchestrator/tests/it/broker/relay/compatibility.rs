//! A client that knows nothing but NATS and the seven events with their fields.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser as _;
use futures_util::StreamExt as _;
use orchestrator::app::{App, Ended};
use orchestrator::cli::args::Cli;
use orchestrator::config::Settings;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::broker::nats::{NatsServer, Release};
use crate::broker::{PATIENCE, connect, eventually};

/// Each with the subject it is published to.
const SEVEN: [(&str, &str); 7] = [
    ("Ordered", "bookmarket.events.order.Ordered"),
    ("OrderCanceled", "bookmarket.events.order.OrderCanceled"),
    ("Paid", "bookmarket.events.payment.Paid"),
    ("PayCanceled", "bookmarket.events.payment.PayCanceled"),
    ("Shipped", "bookmarket.events.delivery.Shipped"),
    (
        "DeliveryCanceled",
        "bookmarket.events.delivery.DeliveryCanceled",
    ),
    ("SentMessage", "bookmarket.events.kakao.SentMessage"),
];
/// Of the request that orders.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const FIELDS: [&str; 6] = [
    "eventType",
    "timestamp",
    "id",
    "orderId",
    "customerId",
    "status",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_client_that_knows_the_seven_events_and_their_fields_works() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let client = connect(&server.url()).await;
        eventually("a broker", async || client.is_connected()).await;
        let mut events = client
            .client()
            .subscribe("bookmarket.events.>")
            .await
            .expect("subscribed");
        client
            .client()
            .flush()
            .await
            .expect("the subscription is there");

        let dir = tempfile::tempdir().expect("a directory");
        let app = App::start(&settings(&dir, &server.url()))
            .await
            .expect("a server");
        let canceled = order_and_cancel(&app.url()).await;

        let (mut seen, mut known) = (BTreeMap::new(), BTreeSet::new());
        while SEVEN.iter().any(|(name, _)| !seen.contains_key(*name)) {
            let next = tokio::time::timeout(PATIENCE, events.next()).await;
            let message = next
                .unwrap_or_else(|_| panic!("only {:?}", seen.keys()))
                .expect("a message");
            comes_from(&message, &canceled, &mut known);
            let event: Value = serde_json::from_slice(&message.payload).expect("JSON");
            let name = event["eventType"].as_str().unwrap_or_default().to_owned();
            if let Some((_, subject)) = SEVEN.iter().find(|(known, _)| *known == name) {
                assert_eq!(message.subject.as_str(), *subject);
                seen.entry(name).or_insert(event);
            }
        }
        for (name, event) in &seen {
            for field in FIELDS {
                assert!(event[field].is_string(), "{name} has no {field}: {event}");
            }
            let timestamp = event["timestamp"].as_str().expect("a text");
            assert!(timestamp.len() == 14 && timestamp.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(event["orderId"], canceled.as_str(), "{name}");
            assert_eq!(event["customerId"], "33");
            assert_eq!(event["status"], status(name, event), "{event}");
        }
        own_fields(&seen);
        nothing_personal(&seen);
        assert_eq!(app.stop().await, Ended::InOrder);
    }
}

/// Every event bears its name as its status, but a message what it tells of, which is the cancel where that came before it was sent.
fn status<'a>(name: &'a str, event: &Value) -> &'a str {
    match (name, event["kind"].as_str()) {
        ("SentMessage", Some("canceled")) => "OrderCanceled",
        ("SentMessage", _) => "Shipped",
        _ => name,
    }
}

/// What some of the seven have beside the fields of all.
fn own_fields(events: &BTreeMap<String, Value>) {
    for name in ["Ordered", "OrderCanceled"] {
        assert_eq!(events[name]["bookId"], "9788937460449", "{name}");
        assert_eq!(events[name]["qty"], 2, "{name}");
    }
    for name in ["Paid", "PayCanceled"] {
        // No 24000.0, which is the same number and another text.
        assert_eq!(events[name]["amount"].as_i64(), Some(24_000), "{name}");
        assert_eq!(events[name]["currency"], "KRW", "{name}");
    }
    let message = events["SentMessage"]["message"].as_str();
    assert!(message.is_some_and(|text| !text.is_empty()), "{message:?}");
}

/// What belongs to the order says so, says which trace it is part of, and but for the first names an event before it as its cause.
fn comes_from(message: &async_nats::Message, order: &str, known: &mut BTreeSet<String>) {
    let headers = message.headers.as_ref().expect("headers");
    let header = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
    if header("ce-correlationid") == Some(order) {
        let kind = header("ce-type");
        assert_eq!(header("traceparent"), Some(TRACE), "{kind:?}");
        match header("ce-causationid") {
            None => assert_eq!(kind, Some("Ordered")),
            Some(cause) => assert!(known.contains(cause), "{kind:?} because of {cause}"),
        }
    }
    known.insert(header("ce-id").expect("an id").to_owned());
}

fn nothing_personal(events: &BTreeMap<String, Value>) {
    let text = format!("{events:?}");
    for secret in ["Hong Gil-dong", "1234-5678", "Sejong-daero", "tok_test"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn settings(dir: &TempDir, broker: &str) -> Settings {
    let data_dir = dir.path().to_string_lossy();
    let arguments = [
        "bookmarket",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &data_dir,
    ];
    let mut settings = Cli::try_parse_from(arguments)
        .expect("good arguments")
        .settings;
    settings.store.database_url = None;
    settings.broker.nats_url = Some(SecretString::from(broker.to_owned()));
    settings
}

/// Places an order, waits until it has been shipped, and cancels it.
async fn order_and_cancel(url: &str) -> String {
    let http = reqwest::Client::new();
    let order = json!({
        "customerId": 33,
        "lines": [{ "bookId": "9788937460449", "qty": 2, "unitPrice": 12_000 }],
        "payment": { "method": "card", "token": "tok_test" },
        "contact": { "name": "Hong Gil-dong", "phone": "+82-10-1234-5678" },
        "address": { "street": "1 Sejong-daero", "city": "Seoul" },
    });
    let placed = http
        .post(format!("{url}/orders"))
        .header("traceparent", TRACE)
        .json(&order)
        .send()
        .await
        .expect("an answer");
    assert_eq!(placed.status(), 201);
    let placed: Value = placed.json().await.expect("JSON");
    let id = placed["orderId"].as_str().expect("an id").to_owned();
    eventually("it is shipped", async || {
        let order = http.get(format!("{url}/orders/{id}")).send().await;
        let order: Value = order.expect("an answer").json().await.expect("JSON");
        order["status"] == "Shipped"
    })
    .await;
    let canceled = http
        .delete(format!("{url}/orders/{id}"))
        .send()
        .await
        .expect("an answer");
    assert!(canceled.status().is_success());
    id
}
