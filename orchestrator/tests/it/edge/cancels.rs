//! Canceling over HTTP.

use serde_json::json;
use std::time::Duration;

use super::server::{Backend, TestServer, on_each_backend, order_paid_by};

#[tokio::test(flavor = "multi_thread")]
async fn a_shipped_order_is_canceled_with_all_money_back_and_a_repeat_gets_the_same() {
    on_each_backend(async |server| {
        let id = server.placed("33").await;
        server
            .eventually(&format!("/orders/{id}"), |order| {
                order["status"] == "Shipped"
            })
            .await;
        for _ in 0..2 {
            let answer = server.delete(&format!("/orders/{id}")).await;
            assert_eq!(
                (answer.status, &answer.body()["status"]),
                (200, &json!("Canceled")),
                "{}",
                answer.text()
            );
        }
        let payment = server.get(&format!("/payments/{id}")).await.body();
        assert_eq!(
            (&payment["refunded"], &payment["charged"]),
            (&json!(45_000), &json!(45_000))
        );
        server
            .eventually(&format!("/deliveries/{id}"), |found| {
                found["status"] == "DeliveryCanceled"
            })
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_is_kept_and_a_bad_one_is_refused() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    let path = format!("/orders/{id}/cancel");
    let refused = server.post(&path, &json!({ "reason": "", "why": 1 })).await;
    refused.is_problem("invalid-request", 422);
    assert_eq!(refused.pointers(), ["/reason", "/why"]);
    assert_eq!(
        server
            .post(&path, &json!({ "reason": "wrong edition" }))
            .await
            .status,
        200
    );
    let order = server.get(&format!("/orders/{id}")).await.body();
    assert_eq!(
        (&order["canceled"]["reason"], &order["canceled"]["actor"]),
        (&json!("wrong edition"), &json!("customer"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_has_left_cannot_be_canceled() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.orders.simulated_handover_after = Duration::from_millis(100);
        settings.orders.simulated_delivery_after = Duration::from_secs(60);
    })
    .await;
    let id = server.placed("33").await;
    server
        .eventually(&format!("/orders/{id}"), |order| {
            order["status"] == "HandedOver"
        })
        .await;
    let problem = server
        .delete(&format!("/orders/{id}"))
        .await
        .is_problem("past-point-of-no-return", 409);
    assert_eq!(problem["orderId"], id);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_during_an_open_payment_is_202_and_settles_by_itself() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.orders.payment_budget = Duration::from_millis(100);
        settings.orders.cancel_budget = Duration::from_millis(100);
    })
    .await;
    // Far longer than both budgets, and less than the provider is given.
    let answer = server
        .post("/orders", &order_paid_by("33", "slow-2800"))
        .await;
    let id = answer.body()["orderId"].as_str().expect("an id").to_owned();
    let canceling = server.delete(&format!("/orders/{id}")).await;
    assert_eq!(
        (canceling.status, &canceling.body()["status"]),
        (202, &json!("Canceling")),
        "{}",
        canceling.text()
    );
    server
        .eventually(&format!("/orders/{id}"), |order| {
            order["status"] == "Canceled"
        })
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_exist_cannot_be_canceled() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    server
        .delete("/orders/00000000-0000-4000-8000-000000000000")
        .await
        .is_problem("not-found", 404);
    server
        .delete("/orders/17")
        .await
        .is_problem("not-found", 404);
    server.stop().await;
}
