//! One key, one order, one answer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::outside::Outside;
use super::server::{Answer, Backend, TestServer, on_each_backend, order, order_paid_by};

async fn post(server: &TestServer, key: &str, body: &Value) -> Answer {
    let request = server
        .request(Method::POST, "/orders")
        .header("Idempotency-Key", key)
        .json(body);
    Answer::of(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_same_status_and_body_byte_for_byte_whatever_happened_since() {
    on_each_backend(async |server| {
        let first = post(server, "key-1", &order("33")).await;
        assert_eq!(
            (first.status, first.header("idempotent-replayed")),
            (201, None)
        );
        let id = first.body()["orderId"].as_str().expect("an id").to_owned();
        assert_eq!(server.delete(&format!("/orders/{id}")).await.status, 200);
        let again = post(server, "key-1", &order("33")).await;
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        let declined = post(server, "key-2", &order_paid_by("33", "decline")).await;
        let declined_again = post(server, "key-2", &order_paid_by("33", "decline")).await;
        assert_eq!(
            (declined.status, &declined.bytes),
            (402, &declined_again.bytes)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_in_other_json_is_a_repeat_and_another_command_is_refused() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let first = post(
        &server,
        "key",
        &json!({ "customerId": 33, "bookId": 1, "qty": 1 }),
    )
    .await;
    let reordered = post(
        &server,
        "key",
        &json!({ "qty": 1, "bookId": "1", "customerId": "33", "lines": null }),
    )
    .await;
    assert_eq!(reordered.bytes, first.bytes);
    let problem = post(
        &server,
        "key",
        &json!({ "customerId": 33, "bookId": 1, "qty": 2 }),
    )
    .await;
    assert_eq!(
        problem.is_problem("idempotency-key-reused", 422)["orderId"],
        first.body()["orderId"]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_under_one_key_make_one_order() {
    on_each_backend(async |server| {
        let order = order("33");
        let posts = (0..16).map(|_| post(server, "key", &order));
        let answers = futures_util::future::join_all(posts).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer.status == 201 && answer.bytes == answers[0].bytes)
        );
        let list = server
            .eventually("/orders?customerId=33", |list| list["page"]["count"] != 0)
            .await;
        assert_eq!(list["page"]["count"], 1);
    })
    .await;
}

/// Two servers on one log and before one provider, of which the second has no patience.
async fn patient_and_hasty(outside: &Outside) -> (TestServer, TestServer) {
    let mut store = None;
    let patient = TestServer::start(Backend::Postgres, |settings| {
        settings.providers.simulator_url = Some(outside.url());
        settings.orders.payment_budget = Duration::from_mins(1);
        store = Some(settings.store.clone());
    })
    .await;
    let store = store.expect("settings");
    let hasty = TestServer::start(Backend::Sqlite, |settings| {
        settings.providers.simulator_url = Some(outside.url());
        settings.orders.payment_budget = Duration::from_millis(400);
        settings.store.database_url = store.database_url;
        settings.store.master_key_file = Some(store.data_dir.join("master.key"));
    })
    .await;
    (patient, hasty)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_during_the_first_waits_out_the_budget_and_gets_409() {
    let outside = Outside::start(Vec::new()).await;
    let (patient, hasty) = patient_and_hasty(&outside).await;
    outside.be_away(Some("payment")).await;
    let order = order("33");
    let first = post(&patient, "key", &order);
    let meanwhile = async {
        let in_log = |page: &Value| {
            let events = page["events"].as_array();
            events.is_some_and(|events| !events.is_empty())
        };
        patient.eventually("/events", in_log).await;
        let repeat = post(&hasty, "key", &order).await;
        assert!(repeat.header("retry-after").is_some());
        outside.be_away(None).await;
        repeat.is_problem("idempotency-key-in-progress", 409)["orderId"].clone()
    };
    let (first, in_progress) = tokio::join!(first, meanwhile);
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.body()["orderId"], in_progress);
    let again = post(&hasty, "key", &order).await;
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
    hasty.stop().await;
    patient.stop().await;
    outside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_key_is_refused() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    post(&server, &"k".repeat(256), &order("33"))
        .await
        .is_problem("invalid-header", 400);
    server.stop().await;
}
