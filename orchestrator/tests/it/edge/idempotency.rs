//! One key, one order, one answer.

use reqwest::Method;
use serde_json::{Value, json};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_during_the_first_waits_for_its_answer() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.orders.payment_budget = std::time::Duration::from_millis(400);
    })
    .await;
    let slow = order_paid_by("33", "slow-2500");
    let first = post(&server, "key", &slow);
    let second = async {
        let in_log = |page: &Value| {
            page["events"]
                .as_array()
                .is_some_and(|events| !events.is_empty())
        };
        server.eventually("/events", in_log).await;
        post(&server, "key", &slow).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status, 202, "{}", first.text());
    // It came while nothing was known; the first answer may have come within its budget.
    if second.status == 409 {
        second.is_problem("idempotency-key-in-progress", 409);
        assert!(second.header("retry-after").is_some());
    } else {
        assert_eq!((second.status, &second.bytes), (202, &first.bytes));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_key_is_refused() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    post(&server, &"k".repeat(256), &order("33"))
        .await
        .is_problem("invalid-header", 400);
    server.stop().await;
}
