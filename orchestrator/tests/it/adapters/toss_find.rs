//! Toss Payments: what is left of one payment, whatever else was paid for its order.

use orchestrator::providers::ports::{ChargeName, ChargeNow, Found, PaymentPort};
use serde_json::{Value, json};
use wiremock::MockServer;

use super::server::*;
use super::toss::by_order;
use super::toss_codes::reference;

async fn charge() -> ChargeName {
    ChargeName {
        order_id: ORDER,
        charge_ref: reference().await,
        charged_after: charged_after(),
    }
}

/// What is found where the order shows this payment.
async fn found(payment: &Value) -> Found<ChargeNow> {
    let server = MockServer::start().await;
    on(&server, "GET", &by_order(), 200, payment.clone()).await;
    on(&server, "GET", "/v1/transactions", 200, json!([])).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    toss.find(charge().await).await
}

fn left(returned: i64, last_refund: Option<&str>) -> Found<ChargeNow> {
    Found::Done(ChargeNow {
        amount: won(33_000),
        returned: won(returned),
        last_refund: last_refund.map(str::to_owned),
    })
}

const REFUND: &str = "090A796806E726BBB929F4A2CA7DB9A7";

fn with(status: &str, cancels: Value, balance: i64) -> Value {
    let mut payment = payment(status);
    (payment["cancels"], payment["balanceAmount"]) = (cancels, json!(balance));
    payment
}

#[tokio::test]
async fn a_payment_says_how_much_of_it_went_back_in_however_many_parts() {
    let half = || cancel("by hand", 16_500, "DONE");
    for (payment, expected) in [
        (payment("DONE"), left(0, None)),
        (given_back("by hand", "DONE"), left(33_000, Some(REFUND))),
        (
            with("PARTIAL_CANCELED", json!([half()]), 16_500),
            left(16_500, Some(REFUND)),
        ),
        // The status is no sign of it.
        (
            with("PARTIAL_CANCELED", json!([half(), half()]), 0),
            left(33_000, Some(REFUND)),
        ),
        (
            with("DONE", json!([cancel("a", 33_000, "ABORTED")]), 33_000),
            left(0, None),
        ),
    ] {
        assert_eq!(found(&payment).await, expected, "{payment}");
    }
}

#[tokio::test]
async fn what_a_payment_leaves_open_is_not_concluded() {
    let on_its_way = cancel("by hand", 16_500, "IN_PROGRESS");
    for payment in [
        payment("WAITING_FOR_DEPOSIT"),
        payment("A_NEW_ONE"),
        with("PARTIAL_CANCELED", json!([on_its_way]), 16_500),
        with("PARTIAL_CANCELED", json!([cancel("a", 3_000, "DONE")]), 0),
        with("CANCELED", json!(null), 0),
    ] {
        let found = found(&payment).await;
        assert!(matches!(found, Found::Undecided(_)), "{payment}: {found:?}");
    }
}

#[tokio::test]
async fn no_money_moved_for_a_payment_that_was_not_made_or_is_nowhere() {
    for status in ["READY", "IN_PROGRESS"] {
        assert_eq!(found(&payment(status)).await, Found::Nothing, "{status}");
    }
    for status in ["ABORTED", "EXPIRED"] {
        let found = found(&payment(status)).await;
        assert!(matches!(found, Found::Refused(_)), "{status}: {found:?}");
    }
    let mut other = payment("DONE");
    other["paymentKey"] = json!("another-payment");
    assert_eq!(found(&other).await, Found::Nothing);
}

#[tokio::test]
async fn a_payment_is_found_although_its_order_shows_another_one() {
    let listed = json!([{
        "mId": "tosspayments", "transactionKey": "T", "paymentKey": TOKEN, "orderId": ORDER.to_string(), "currency": "KRW",
        "method": "카드", "customerKey": null, "useEscrow": false, "amount": 33000, "status": "DONE",
        "transactionAt": "2026-11-22T12:31:34+09:00"
    }]);
    for mut other in [
        payment("DONE"),
        payment("READY"),
        payment("ABORTED"),
        given_back("by hand", "DONE"),
    ] {
        other["paymentKey"] = json!("another-payment");
        let server = MockServer::start().await;
        on(&server, "GET", &by_order(), 200, other.clone()).await;
        on(&server, "GET", "/v1/transactions", 200, listed.clone()).await;
        let own = format!("/v1/payments/{TOKEN}");
        on(&server, "GET", &own, 200, payment("DONE")).await;
        let toss = toss_at(&server.uri(), PATIENCE);
        assert_eq!(toss.find(charge().await).await, left(0, None), "{other}");
    }
    // Nor is anything concluded where the list cannot be read.
    let server = MockServer::start().await;
    on(&server, "GET", &by_order(), 404, error("NOT_FOUND_PAYMENT")).await;
    on(
        &server,
        "GET",
        "/v1/transactions",
        500,
        error("COMMON_ERROR"),
    )
    .await;
    let found = toss_at(&server.uri(), PATIENCE).find(charge().await).await;
    assert!(matches!(found, Found::Unknown(_)), "{found:?}");
}
