//! What providers tell us over HTTP.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventstore::Options;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::server::{Answer, Backend, TestServer, on_each_backend, until_taken};

/// The secret of a server whose providers are all simulated.
const SECRET: &str = "simulated";
const TRANSMISSION: &str = "tosspayments-webhook-transmission-id";

/// The strictest of the providers wants its answer within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

async fn toss(server: &TestServer, delivery: &str, body: &Value) -> Answer {
    let path = format!("/webhooks/payments/toss/{SECRET}");
    let request = server
        .request(Method::POST, &path)
        .header(TRANSMISSION, delivery);
    Answer::of(request.json(body).send().await.expect("an answer")).await
}

/// The same as its provider does it, until it is taken.
async fn deliver(server: &TestServer, delivery: &str, body: &Value) -> Answer {
    until_taken(async || toss(server, delivery, body).await).await
}

fn changed(order: &str, status: &str) -> Value {
    json!({
        "eventType": "PAYMENT_STATUS_CHANGED",
        "createdAt": "2026-11-22T09:30:00.000000",
        "data": {
            "paymentKey": "pay-key-that-nobody-should-see", "orderId": order, "status": status,
            "secret": "ps_not_for_the_log", "card": { "number": "43301234****123*" }, "totalAmount": 45_000,
        }
    })
}

async fn webhooks(server: &TestServer) -> Vec<Value> {
    let page = server.get("/events?category=webhook").await.body();
    page["events"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_written_down_once_without_anything_secret_and_answered_200() {
    on_each_backend(async |server| {
        let order = server.placed("33").await;
        for _ in 0..3 {
            let answer = deliver(server, "whtrans_1", &changed(&order, "DONE")).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let stored = webhooks(server).await;
        assert_eq!(stored.len(), 1, "{stored:?}");
        assert_eq!(stored[0]["type"], "WebhookReceived");
        assert_eq!(stored[0]["data"]["subject"], order.as_str());
        assert_eq!(stored[0]["data"]["deliveryId"], "whtrans_1");
        let text = stored[0].to_string();
        for secret in ["pay-key-that", "ps_not_for", "4330", SECRET] {
            assert!(!text.contains(secret), "{text}");
        }
    })
    .await;
}

/// It is told without an order and without a payment: only the reason that we gave leads back.
#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_refund_is_told_to_the_order_whose_key_its_reason_names() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let order = server.placed("33").await;
    let about = |reason: String| {
        json!({
            "eventType": "CANCEL_STATUS_CHANGED",
            "createdAt": "2026-11-22T09:30:00.000000",
            "data": {
                "transactionKey": null, "cancelReason": reason, "canceledAt": "2026-11-22T09:30:00+09:00",
                "cancelAmount": 33_000, "cancelStatus": "ABORTED", "cancelRequestId": "request-1",
            }
        })
    };
    for (delivery, reason) in [
        ("ours", format!("Order canceled [{order}:refund]")),
        ("later", format!("Order canceled [{order}:refund:2]")),
        ("by-hand", "a customer called [twice]".to_owned()),
        ("nameless", "a customer called".to_owned()),
    ] {
        let answer = deliver(&server, delivery, &about(reason)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let stored = webhooks(&server).await;
    let subjects: Vec<_> = stored
        .iter()
        .map(|event| event["data"]["subject"].clone())
        .collect();
    let own = json!(order);
    assert_eq!(subjects, [own.clone(), own, Value::Null, Value::Null]);
    assert_eq!(stored[0]["data"]["status"], "ABORTED");
    assert_eq!(stored[0]["data"]["sagaId"], order.as_str());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_provider_and_a_wrong_secret_look_alike() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let body = changed(&Uuid::now_v7().to_string(), "DONE");
    let paths = [
        "/webhooks/payments/paypal/simulated",
        "/webhooks/kakao/toss/simulated",
        "/webhooks/payments/toss/guessed",
        "/webhooks/payments/toss/simulated2",
    ];
    let mut seen = Vec::new();
    for path in paths {
        seen.push(server.post(path, &body).await.is_problem("not-found", 404));
    }
    assert!(seen.iter().all(|problem| *problem == seen[0]), "{seen:?}");
    server
        .post("/webhooks/payments/toss", &body)
        .await
        .is_problem("webhook-not-signed", 401);
    assert_eq!(webhooks(&server).await, [] as [Value; 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_webhook_is_refused_and_not_written_down() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let path = format!("/webhooks/payments/toss/{SECRET}");
    let send = async |body: String| {
        let request = server.request(Method::POST, &path).body(body);
        Answer::of(request.send().await.expect("an answer")).await
    };
    send("not json".into())
        .await
        .is_problem("invalid-json", 400);
    send("{}".into()).await.is_problem("invalid-webhook", 400);
    let large = format!("{{\"eventType\":\"{}\"}}", "x".repeat(200_000));
    send(large).await.is_problem("content-too-large", 413);
    assert_eq!(webhooks(&server).await, [] as [Value; 0]);
    server.stop().await;
}

/// How long a body that never ends takes to be given up.
fn never_ends(address: &str) -> Duration {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = format!(
        "POST /webhooks/payments/toss/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let since = Instant::now();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_given_up_within_a_second() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let address = server.url().replace("http://", "");
    // A machine that stands still for a moment does not do so each time.
    let tries = tokio::task::spawn_blocking(move || {
        let mut tries = vec![never_ends(&address)];
        while tries.len() < 3 && tries.iter().all(|took| *took >= ANSWERED_WITHIN) {
            tries.push(never_ends(&address));
        }
        tries
    });
    let tries = tries.await.expect("no panic");
    let best = tries.iter().min();
    assert!(
        best.is_some_and(|took| *took < ANSWERED_WITHIN),
        "{tries:?}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_an_order_that_is_not_there_yet_waits_in_sight() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let order = Uuid::now_v7().to_string();
    let early = deliver(&server, "early", &changed(&order, "DONE")).await;
    assert_eq!(early.status, 200, "{}", early.text());
    let waiting = server
        .eventually("/sagas?status=waiting&step=find", |list| {
            list["page"]["count"] == 1
        })
        .await;
    let row = &waiting["_embedded"]["sagas"][0];
    assert_eq!(row["saga"], "hint");
    assert!(row["dueAt"].is_string(), "{row}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_found_by_its_number_and_its_carrier_is_thanked_with_202() {
    on_each_backend(async |server| {
        let order = server.placed("33").await;
        let row = server
            .eventually(&format!("/mypages/{order}"), |row| row["delivery"]["waybill"].is_string())
            .await;
        let parcel = json!({ "carrierId": row["delivery"]["carrier"], "trackingNumber": row["delivery"]["waybill"] });
        let path = format!("/webhooks/deliveries/tracker/{SECRET}");
        let answer = until_taken(async || server.post(&path, &parcel).await).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(webhooks(server).await[0]["data"]["sagaId"], order.as_str());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_of_a_dealers_call_is_a_delivery_of_its_own() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let order = server.placed("33").await;
    let report = |id: &str, status: &str| {
        json!({
            "messageId": id, "statusCode": status, "to": "01012345678", "text": "Dear Hong Gildong",
            "customFields": { "orderId": order, "kind": "shipped", "messageId": Uuid::now_v7() },
        })
    };
    let path = format!("/webhooks/kakao/solapi/{SECRET}");
    let call = json!([
        report("M1", "2000"),
        report("M1", "4000"),
        report("M2", "4000")
    ]);
    for _ in 0..2 {
        let answer = until_taken(async || server.post(&path, &call).await).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let stored = webhooks(&server).await;
    assert_eq!(stored.len(), 3, "{stored:?}");
    let text = Value::from(stored).to_string();
    assert!(
        !text.contains("01012345678") && !text.contains("Gildong"),
        "{text}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_webhooks_takes_no_place_from_orders() {
    let server =
        TestServer::start(Backend::Sqlite, |settings| settings.edge.max_in_flight = 4).await;
    let order = server.placed("33").await;
    let storm = (0..400).map(|nth| {
        let (server, order) = (&server, &order);
        async move {
            toss(server, &format!("storm-{nth}"), &changed(order, "DONE"))
                .await
                .status
        }
    });
    let placing = async {
        let mut placed = 0;
        for _ in 0..10 {
            server.placed("34").await;
            placed += 1;
        }
        placed
    };
    let (answers, placed) = tokio::join!(futures_util::future::join_all(storm), placing);
    assert_eq!(placed, 10);
    assert!(
        answers.iter().all(|status| matches!(status, 200 | 503)),
        "{answers:?}"
    );
    assert!(answers.contains(&200));
    server.stop().await;
}

/// A call that is signed with this key, at the address without a secret.
async fn signed(server: &TestServer, key: &str, delivery: &str, body: &Value) -> Answer {
    let (text, at) = (body.to_string(), "2026-11-22T09:30:00+09:00");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
    mac.update(format!("{text}:{at}").as_bytes());
    let digest = STANDARD.encode(mac.finalize().into_bytes());
    let request = server.request(Method::POST, "/webhooks/payments/toss");
    let request = request
        .header(TRANSMISSION, delivery)
        .header("tosspayments-webhook-transmission-time", at)
        .header("tosspayments-webhook-signature", format!("v1:{digest}"));
    let request = request
        .header("content-type", "application/json")
        .body(text);
    Answer::of(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_webhook_is_taken_without_a_secret_and_one_with_a_wrong_signature_is_not() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.toss_security_key = Some(SecretString::from("our-security-key"));
    })
    .await;
    let body = changed(&server.placed("33").await, "DONE");
    let right = async || signed(&server, "our-security-key", "right", &body).await;
    let taken = until_taken(right).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    signed(&server, "another-key", "wrong", &body)
        .await
        .is_problem("webhook-not-signed", 401);
    // Not signed at all, at the address that asks for it.
    server
        .post("/webhooks/payments/toss", &body)
        .await
        .is_problem("webhook-not-signed", 401);
    let stored = webhooks(&server).await;
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0]["data"]["deliveryId"], "right");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_written_down_is_answered_503_and_none_that_was_thanked_for_is_lost()
 {
    let small = Options {
        max_page_count: Some(150),
        ..Options::default()
    };
    let server = TestServer::start_with(Backend::Sqlite, small, |_| {}).await;
    let order = server.placed("33").await;
    let mut thanked = BTreeSet::new();
    let refused = loop {
        let delivery = format!("full-{}", thanked.len());
        let answer = deliver(&server, &delivery, &changed(&order, "DONE")).await;
        if answer.status != 200 {
            break answer;
        }
        thanked.insert(delivery);
        assert!(thanked.len() < 10_000, "it never fills");
    };
    refused.is_problem("store-unavailable", 503);
    let server = server.restart().await;
    let (mut stored, mut after) = (BTreeSet::new(), 0);
    loop {
        let path = format!("/events?category=webhook&limit=1000&after={after}");
        let page = server.get(&path).await.body();
        let events = page["events"].as_array().expect("events");
        let names = events.iter().map(|it| it["data"]["deliveryId"].as_str());
        stored.extend(names.flatten().map(str::to_owned));
        match page["next"].as_u64().expect("a position") {
            next if next == after => break,
            next => after = next,
        }
    }
    assert_eq!(stored, thanked);
    server.stop().await;
}
