//! What the shop hears without asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::outside::{Outside, answer};

/// One webhook as it came in.
struct Heard {
    path: String,
    id: Option<String>,
    retried: Option<String>,
    body: Value,
}

/// A shop that writes down what it hears.
struct Listening {
    url: String,
    heard: mpsc::UnboundedReceiver<Heard>,
}

#[derive(Clone)]
struct Ear {
    heard: mpsc::UnboundedSender<Heard>,
    /// How many webhooks it fails to take first.
    deaf: Arc<AtomicU32>,
}

async fn hear(State(ear): State<Ear>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| Some(headers.get(name)?.to_str().unwrap().to_owned());
    ear.heard
        .send(Heard {
            path: uri.path().to_owned(),
            id: header("tosspayments-webhook-transmission-id"),
            retried: header("tosspayments-webhook-transmission-retried-count"),
            body: serde_json::from_slice(&body).unwrap(),
        })
        .unwrap();
    let less = |deaf: u32| deaf.checked_sub(1);
    match ear
        .deaf
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
    {
        Ok(_) => StatusCode::SERVICE_UNAVAILABLE,
        Err(_) => StatusCode::OK,
    }
}

impl Listening {
    async fn open(deaf: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, heard) = mpsc::unbounded_channel();
        let ear = Ear {
            heard: sender,
            deaf: Arc::new(AtomicU32::new(deaf)),
        };
        let router = Router::new().fallback(hear).with_state(ear);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, heard }
    }

    async fn next(&mut self) -> Heard {
        let next = tokio::time::timeout(Duration::from_secs(20), self.heard.recv());
        next.await.expect("a webhook comes").unwrap()
    }
}

async fn both(deaf: u32) -> (Outside, Listening) {
    let shop = Listening::open(deaf).await;
    (Outside::telling(&shop.url).await, shop)
}

#[tokio::test]
async fn the_shop_hears_of_charges_refunds_scans_and_messages() {
    let (outside, mut shop) = both(0).await;
    let order = Uuid::now_v7();
    outside.confirm(order, "k", "p").await;
    let charge = shop.next().await;
    assert_eq!(charge.path, "/webhooks/payments/toss/s3cret");
    assert_eq!(charge.body["eventType"], "PAYMENT_STATUS_CHANGED");
    assert_eq!(charge.body["data"]["status"], "DONE");
    assert_eq!(charge.body["data"]["orderId"], json!(order));
    assert_eq!(charge.retried.as_deref(), Some("0"));
    outside.confirm(order, "k", "p").await;

    let waybill = outside.ship(order, "s").await.1["waybill"].clone();
    outside.scan(order, "handover").await;
    let scan = shop.next().await;
    assert_eq!(
        scan.path, "/webhooks/deliveries/tracker/s3cret",
        "a repeat is no news"
    );
    assert_eq!(
        scan.body,
        json!({ "carrierId": "kr.cjlogistics", "trackingNumber": waybill })
    );

    let message = Uuid::now_v7();
    outside.send(message, "o").await;
    let report = shop.next().await;
    assert_eq!(report.path, "/webhooks/kakao/solapi/s3cret");
    assert_eq!(report.body[0]["statusCode"], "4000");
    assert_eq!(report.body[0]["customFields"]["messageId"], json!(message));

    outside.refund("p", "r", None).await;
    assert_eq!(shop.next().await.body["data"]["status"], "CANCELED");
    outside.confirm(Uuid::now_v7(), "d", "decline:1").await;
    assert_eq!(shop.next().await.body["data"]["status"], "ABORTED");
}

#[tokio::test]
async fn vans_tell_by_themselves_where_a_callback_was_registered() {
    let (outside, mut shop) = both(0).await;
    let order = Uuid::now_v7();
    let waybill = outside.ship(order, "s").await.1["waybill"].clone();
    let register =
        "mutation R($input: RegisterTrackWebhookInput!) { registerTrackWebhook(input: $input) }";
    let until = (Utc::now() + TimeDelta::hours(48)).to_rfc3339();
    let mut input = json!({
        "carrierId": "kr.cjlogistics", "trackingNumber": waybill,
        "callbackUrl": format!("{}/own/place", shop.url), "expirationTime": until,
    });
    for (until, path) in [
        (until.as_str(), "/own/place"),
        // Whoever lets a registration end is told where everybody is.
        (
            "2020-01-01T00:00:00Z",
            "/webhooks/deliveries/tracker/s3cret",
        ),
    ] {
        input["expirationTime"] = json!(until);
        let body = json!({ "query": register, "variables": { "input": input } });
        let (_, done) = answer(
            outside
                .request(Method::POST, "/tracker/graphql")
                .json(&body),
        )
        .await;
        assert_eq!(done, json!({ "data": { "registerTrackWebhook": true } }));
        let scan = if path == "/own/place" {
            "handover"
        } else {
            "deliver"
        };
        assert_eq!(outside.scan(order, scan).await, 200);
        assert_eq!(shop.next().await.path, path);
    }
}

#[tokio::test]
async fn a_webhook_that_is_not_taken_is_sent_again_as_the_same() {
    let (outside, mut shop) = both(2).await;
    outside.confirm(Uuid::now_v7(), "k", "p").await;
    let first = shop.next().await;
    for retried in ["1", "2"] {
        let again = shop.next().await;
        assert_eq!(again.retried.as_deref(), Some(retried));
        assert_eq!(
            (again.id, again.body),
            (first.id.clone(), first.body.clone())
        );
    }
}

#[tokio::test]
async fn webhooks_come_twice_late_reordered_or_contradict_themselves_by_rule() {
    let (outside, mut shop) = both(0).await;
    let rule = |fault: &str| json!([{ "op": "charge", "fault": fault, "delayMs": 300 }]);
    let pay = async |payment: &str| {
        let order = Uuid::now_v7();
        outside.confirm(order, payment, payment).await;
    };
    outside.faults(rule("webhook-duplicate")).await;
    pay("twice").await;
    let (first, second) = (shop.next().await, shop.next().await);
    assert_eq!(
        (first.body["data"]["paymentKey"].as_str(), &first.body),
        (Some("twice"), &second.body)
    );

    outside.faults(rule("webhook-contradictory")).await;
    pay("both").await;
    let mut heard = [shop.next().await, shop.next().await];
    heard.sort_by_key(|heard| heard.body["data"]["status"].to_string());
    assert_ne!(heard[0].id, heard[1].id);
    let statuses = heard.map(|heard| heard.body["data"]["status"].clone());
    assert_eq!(statuses, [json!("ABORTED"), json!("DONE")]);

    outside.faults(rule("webhook-late")).await;
    let begun = std::time::Instant::now();
    pay("late").await;
    assert_eq!(shop.next().await.body["data"]["paymentKey"], "late");
    assert!(begun.elapsed() >= Duration::from_millis(300));

    outside
        .faults(json!([{ "op": "charge", "fault": "webhook-reordered", "delayMs": 60_000 }]))
        .await;
    pay("overtaken").await;
    outside.refund("overtaken", "r", None).await;
    let statuses =
        [shop.next().await, shop.next().await].map(|heard| heard.body["data"]["status"].clone());
    assert_eq!(statuses, [json!("CANCELED"), json!("DONE")]);
}

#[tokio::test]
async fn a_refund_that_is_through_later_is_told_then() {
    let (outside, mut shop) = both(0).await;
    outside.confirm(Uuid::now_v7(), "k", "p").await;
    shop.next().await;
    outside
        .faults(json!([{ "fault": "async", "delayMs": 1, "code": "REFUND_REJECTED" }]))
        .await;
    outside.refund("p", "r", Some(1_000)).await;
    let told = shop.next().await.body;
    assert_eq!(
        (&told["eventType"], &told["data"]["cancelStatus"]),
        (&json!("CANCEL_STATUS_CHANGED"), &json!("ABORTED"))
    );
    outside
        .faults(json!([{ "fault": "async", "delayMs": 1 }]))
        .await;
    outside.refund("p", "r2", None).await;
    let mut told = [shop.next().await.body, shop.next().await.body];
    told.sort_by_key(|told| told["eventType"].to_string());
    assert_eq!(told[0]["data"]["cancelStatus"], "DONE");
    assert_eq!(told[1]["data"]["status"], "CANCELED");
}
