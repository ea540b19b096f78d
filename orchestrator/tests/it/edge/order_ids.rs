//! Orders that are called something before they are placed, because their payments are.

use orchestrator::providers::simulator::ledger::Op;
use reqwest::Method;
use serde_json::{Value, json};

use super::outside::Outside;
use super::server::{Answer, Backend, TestServer, order_paid_by, token_line};

async fn ask(server: &TestServer, token: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut request = server
        .request(Method::POST, "/order-ids")
        .bearer_auth(token);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Answer::of(request.json(body).send().await.expect("an answer")).await
}

async fn place(server: &TestServer, token: &str, key: &str, body: &Value) -> Answer {
    let request = server.request(Method::POST, "/orders").bearer_auth(token);
    let request = request.header("idempotency-key", key).json(body);
    Answer::of(request.send().await.expect("an answer")).await
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body()["orderId"].as_str().expect("an id").to_owned()
}

/// Callers of every kind who may order.
fn with_callers(settings: &mut orchestrator::config::Settings) {
    let file = settings.store.data_dir.with_file_name("tokens");
    let lines = [
        token_line("customer:33", "app", "customer"),
        token_line("service", "shop", "service"),
        token_line("service", "other-shop", "other"),
    ];
    std::fs::write(&file, lines.concat()).expect("a token file");
    settings.edge.api_tokens = Some(file);
}

/// As a customer pays with Toss Payments: the id is asked for, the payment is authenticated for that id, and the order is placed
/// with the token that came of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_with_a_token_that_was_authenticated_for_its_own_id() {
    let outside = Outside::start(Vec::new()).await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.simulator_url = Some(outside.url());
        with_callers(settings);
    })
    .await;
    for caller in ["customer", "service", "other"] {
        let order_id = id(&ask(
            &server,
            caller,
            Some("cart-17"),
            &json!({"customerId": "33"}),
        )
        .await);
        let again = ask(&server, caller, Some("cart-17"), &json!({"customerId": 33})).await;
        assert_eq!(id(&again), order_id);
        let wanted = order_paid_by("33", &format!("order-{order_id}"));
        let placed = place(&server, caller, "cart-17", &wanted).await;
        assert_eq!(placed.status, 201, "{}", placed.text());
        assert_eq!(placed.body()["orderId"], order_id);
        // The same token pays for nothing else.
        let other = place(&server, caller, "cart-18", &wanted).await;
        other.is_problem("payment-declined", 402);
    }
    assert_eq!(outside.done(Op::Charge).len(), 3);
    server.stop().await;
    outside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_token_without_an_idempotency_key_is_refused_where_tokens_are_for_one_order() {
    let outside = Outside::start(Vec::new()).await;
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.simulator_url = Some(outside.url());
    })
    .await;
    let refused = server.post("/orders", &order_paid_by("33", "tok")).await;
    refused.is_problem("invalid-order", 422);
    assert_eq!(refused.pointers(), ["/payment/token"]);
    assert_eq!(server.get("/events").await.body()["events"], json!([]));
    assert!(outside.done(Op::Charge).is_empty());
    assert_eq!(server.place(&order_paid_by("33", "tok")).await.status, 201);
    server.stop().await;
    outside.stop().await;
    // Simulated tokens are for any order.
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let placed = server.post("/orders", &order_paid_by("33", "tok")).await;
    assert_eq!(placed.status, 201, "{}", placed.text());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_id_is_told_to_those_who_may_order_and_stores_nothing() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        with_callers(settings);
        settings.edge.cors_origin = vec!["https://shop.example".into()];
    })
    .await;
    let body = json!({"customerId": "33"});
    ask(&server, "nobody", Some("k"), &body)
        .await
        .is_problem("unauthorized", 401);
    let foreign = json!({"customerId": "34"});
    ask(&server, "customer", Some("k"), &foreign)
        .await
        .is_problem("forbidden", 403);
    id(&ask(&server, "service", Some("k"), &foreign).await);
    ask(&server, "customer", None, &body)
        .await
        .is_problem("invalid-header", 400);
    for wrong in [
        json!({}),
        json!({"customerId": " "}),
        json!({"customerId": "33", "qty": 1}),
    ] {
        ask(&server, "service", Some("k"), &wrong)
            .await
            .is_problem("invalid-request", 422);
    }
    // Callers share no ids, nor do customers and keys.
    let mut ids = Vec::new();
    for (caller, key, body) in [
        ("customer", "k", &body),
        ("service", "k", &body),
        ("service", "k2", &body),
        ("service", "k", &foreign),
    ] {
        ids.push(id(&ask(&server, caller, Some(key), body).await));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert_eq!(server.edge().store.head().await.expect("a log").0, 0);
    // A browser may ask for it as well.
    let asked = server.request(Method::OPTIONS, "/order-ids");
    let asked = asked
        .header("Origin", "https://shop.example")
        .header("Access-Control-Request-Method", "POST")
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type,idempotency-key",
        );
    let allowed = asked.send().await.expect("an answer");
    let headers = allowed
        .headers()
        .get("access-control-allow-headers")
        .cloned();
    let headers = headers
        .expect("headers")
        .to_str()
        .expect("text")
        .to_lowercase();
    assert!(headers.contains("idempotency-key"), "{headers}");
    server.stop().await;
}
