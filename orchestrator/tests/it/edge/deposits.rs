//! Deposits, of which the payment provider tells in a form of their own: flat, and with nothing but the order's name.

use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::server::{Answer, Backend, TestServer, until_taken};

const SECRET: &str = "known-to-the-provider";

/// Whom the shop pays at: takes every payment, and knows none of them any more when it is asked.
async fn forgetful() -> MockServer {
    let server = MockServer::start().await;
    let done = |request: &Request| {
        let asked: Value = serde_json::from_slice(&request.body).expect("JSON");
        ResponseTemplate::new(200).set_body_json(json!({
            "paymentKey": asked["paymentKey"], "orderId": asked["orderId"], "status": "DONE", "currency": "KRW",
            "totalAmount": asked["amount"], "balanceAmount": asked["amount"], "cancels": null, "failure": null,
        }))
    };
    let confirm = Mock::given(method("POST")).and(path("/v1/payments/confirm"));
    confirm.respond_with(done).mount(&server).await;
    let list = Mock::given(method("GET")).and(path("/v1/transactions"));
    let empty = ResponseTemplate::new(200).set_body_json(json!([]));
    list.respond_with(empty).mount(&server).await;
    let gone = json!({ "code": "NOT_FOUND_PAYMENT", "message": "gone" });
    let gone = ResponseTemplate::new(404).set_body_json(gone);
    let looks = Mock::given(method("GET"));
    looks.respond_with(gone).mount(&server).await;
    server
}

/// As it is documented: no event's name, no payment key, and the fields at the top.
async fn tell(server: &TestServer, delivery: &str, order: &str, status: &str) -> Answer {
    let path = format!("/webhooks/payments/toss/{SECRET}");
    let body = json!({
        "createdAt": "2026-11-22T09:30:00.000000", "secret": "ps_not_for_the_log", "orderId": order,
        "status": status, "transactionKey": "9C62B18EEF0DE3EB7F4422EB6D14BC6E",
    });
    let once = async || {
        let request = server.request(Method::POST, &path);
        let request = request.header("tosspayments-webhook-transmission-id", delivery);
        Answer::of(request.json(&body).send().await.expect("an answer")).await
    };
    until_taken(once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_was_taken_back_is_in_a_persons_hands_before_anybody_misses_it() {
    let provider = forgetful().await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        let providers = &mut settings.providers;
        providers.toss_secret_key = Some(SecretString::from("test_sk_deposits"));
        providers.toss_url = provider.uri();
        providers.webhook_secret = Some(SecretString::from(SECRET));
        // Nobody else compares.
        providers.reconcile_every = Duration::ZERO;
    })
    .await;
    let order = server.placed("33").await;
    // That it came is what the books say, too.
    assert_eq!(tell(&server, "came", &order, "DONE").await.status, 200);
    let taken_back = tell(&server, "gone", &order, "WAITING_FOR_DEPOSIT").await;
    assert_eq!(taken_back.status, 200, "{}", taken_back.text());
    let page = server
        .eventually(&format!("/mypages/{order}"), |page| {
            page["payment"]["mismatches"][0].is_object()
        })
        .await;
    let mismatch = &page["payment"]["mismatches"];
    assert_eq!(mismatch[0]["code"], "charge-missing", "{page}");
    assert_eq!(mismatch.as_array().map(Vec::len), Some(1), "{page}");
    server.stop().await;
}
