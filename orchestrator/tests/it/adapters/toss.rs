//! Toss Payments: confirmations and what a look at a payment says of them.

use orchestrator::providers::ports::{Answer, Found, MoneyMoved, PaymentPort};
use serde_json::json;
use wiremock::MockServer;

use super::server::*;

const CONFIRM: &str = "/v1/payments/confirm";

fn by_key() -> String {
    format!("/v1/payments/{TOKEN}")
}

pub(super) fn by_order() -> String {
    format!("/v1/payments/orders/{ORDER}")
}

fn done(answer: Answer<MoneyMoved>) -> MoneyMoved {
    match answer {
        Answer::Done(moved) => moved,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_charge_is_confirmed_once_under_its_key_and_its_reference_does_not_show_the_token() {
    let server = MockServer::start().await;
    on(&server, "POST", CONFIRM, 200, payment("DONE")).await;
    let moved = done(toss_at(&server.uri(), PATIENCE).charge(charge()).await);
    assert_eq!(moved.amount, won(33_000));
    assert!(!moved.reference.contains(TOKEN));

    let requests = requests(&server).await;
    assert_eq!(requests.len(), 1);
    // echo -n test_sk_canary...: | base64
    let basic = "Basic dGVzdF9za19jYW5hcnkwekxrS0V5cE5BcldtbzUwblgzbG1lYXhZRzVSOg==";
    assert_eq!(header(&requests[0], "authorization"), basic);
    assert_eq!(
        header(&requests[0], "idempotency-key"),
        format!("{ORDER}:pay")
    );
    assert_eq!(
        body(&requests[0]),
        json!({ "paymentKey": TOKEN, "orderId": ORDER.to_string(), "amount": 33000 })
    );
}

#[tokio::test]
async fn an_answer_that_is_not_the_charge_asked_for_decides_nothing() {
    let mut wrong = Vec::new();
    for status in [
        "READY",
        "IN_PROGRESS",
        "WAITING_FOR_DEPOSIT",
        "PARTIAL_CANCELED",
        "NEW",
    ] {
        wrong.push(payment(status));
    }
    for (field, value) in [
        ("totalAmount", json!(100)),
        ("currency", json!("USD")),
        ("currency", json!("XXX")),
        ("totalAmount", json!("33000")),
    ] {
        let mut payment = payment("DONE");
        payment[field] = value;
        wrong.push(payment);
    }
    for (field, value) in [
        ("orderId", "9f17beb1-b113-59d9-a742-8117e6868a4b"),
        ("paymentKey", "another"),
    ] {
        let mut payment = payment("DONE");
        payment[field] = json!(value);
        wrong.push(payment);
    }
    for answer in wrong {
        let server = MockServer::start().await;
        on(&server, "POST", CONFIRM, 200, answer.clone()).await;
        let mut other_sum = payment("DONE");
        other_sum["totalAmount"] = json!(100);
        on(&server, "GET", &by_key(), 200, other_sum).await;
        let charged = toss_at(&server.uri(), PATIENCE).charge(charge()).await;
        assert!(
            matches!(charged, Answer::Undecided(_)),
            "{answer}: {charged:?}"
        );
    }
}

#[tokio::test]
async fn a_charge_that_was_made_although_the_answer_was_an_error_is_found_at_once() {
    for (status, code) in [
        (500, "FAILED_INTERNAL_SYSTEM_PROCESSING"),
        (400, "ALREADY_PROCESSED_PAYMENT"),
        (409, "IDEMPOTENT_REQUEST_PROCESSING"),
        (404, "NOT_FOUND_PAYMENT_SESSION"),
        (418, "SOMETHING_NEW"),
    ] {
        let server = MockServer::start().await;
        on(&server, "POST", CONFIRM, status, error(code)).await;
        on(&server, "GET", &by_key(), 200, payment("DONE")).await;
        let moved = done(toss_at(&server.uri(), PATIENCE).charge(charge()).await);
        assert_eq!(moved.amount, won(33_000), "{code}");
    }
}

#[tokio::test]
async fn a_token_that_paid_another_order_is_refused() {
    let server = MockServer::start().await;
    let mut other = payment("DONE");
    other["orderId"] = json!("9f17beb1-b113-59d9-a742-8117e6868a4b");
    on(
        &server,
        "POST",
        CONFIRM,
        400,
        error("ALREADY_PROCESSED_PAYMENT"),
    )
    .await;
    on(&server, "GET", &by_key(), 200, other).await;
    match toss_at(&server.uri(), PATIENCE).charge(charge()).await {
        Answer::Refused(refusal) => assert_eq!(refusal.code, "payment-token-of-another-order"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_a_payment_is_not_sent() {
    let server = MockServer::start().await;
    let toss = toss_at(&server.uri(), PATIENCE);
    for (token, code) in [
        (String::new(), "payment-token-missing"),
        ("x".repeat(201), "payment-token-malformed"),
        ("two words".into(), "payment-token-malformed"),
        ("..".into(), "payment-token-malformed"),
        ("토큰".into(), "payment-token-malformed"),
    ] {
        match toss
            .charge(orchestrator::providers::ports::Charge { token, ..charge() })
            .await
        {
            Answer::Refused(refusal) => assert_eq!(refusal.code, code),
            other => panic!("{other:?}"),
        }
    }
    let mut late = charge();
    late.not_after = chrono::Utc::now();
    assert!(matches!(toss.charge(late).await, Answer::NotSent(_)));
    assert_eq!(requests(&server).await.len(), 0);
}

#[tokio::test]
async fn a_look_at_an_order_says_what_became_of_its_charge_in_every_state() {
    let failed = {
        let mut payment = payment("ABORTED");
        payment["failure"] = json!({ "code": "REJECT_CARD_COMPANY", "message": "no" });
        payment
    };
    let mut partly = payment("PARTIAL_CANCELED");
    partly["balanceAmount"] = json!(3000);
    let mut wholly_by_parts = payment("PARTIAL_CANCELED");
    wholly_by_parts["balanceAmount"] = json!(0);
    for (payment, expected) in [
        (payment("DONE"), "done"),
        (payment("READY"), "nothing"),
        (payment("IN_PROGRESS"), "nothing"),
        (payment("WAITING_FOR_DEPOSIT"), "undecided"),
        (payment("SOMETHING_NEW"), "undecided"),
        (payment("ABORTED"), "pay-process-aborted"),
        (failed, "reject-card-company"),
        (payment("EXPIRED"), "not-found-payment-session"),
        (partly, "done"),
        (wholly_by_parts, "payment-given-back"),
        (given_back("by hand", "DONE"), "payment-given-back"),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", &by_order(), 200, payment.clone()).await;
        let found = toss_at(&server.uri(), PATIENCE).probe(ORDER, "any").await;
        let found = match found {
            Found::Done(moved) => {
                assert_eq!(moved.amount, won(33_000));
                "done".to_owned()
            }
            Found::Refused(refusal) => refusal.code,
            Found::Nothing => "nothing".to_owned(),
            Found::Undecided(_) => "undecided".to_owned(),
            Found::Unknown(_) => "unknown".to_owned(),
        };
        assert_eq!(found, expected, "{payment}");
    }
}

#[tokio::test]
async fn a_charge_found_by_a_look_has_the_reference_that_its_answer_had() {
    let server = MockServer::start().await;
    on(&server, "POST", CONFIRM, 200, payment("DONE")).await;
    on(&server, "GET", &by_order(), 200, payment("DONE")).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    let charged = done(toss.charge(charge()).await);
    assert_eq!(toss.probe(ORDER, "any").await, Found::Done(charged));
}

/// A customer who began to pay twice: the provider shows one session under the order, and we were given the other.
async fn found_beside(shown: &str, own: &str) -> String {
    let server = MockServer::start().await;
    let mut other = payment(shown);
    other["paymentKey"] = json!("the first session");
    on(&server, "GET", &by_order(), 200, other).await;
    on(&server, "GET", &by_key(), 200, payment(own)).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    match toss.probe_with(ORDER, "any", TOKEN).await {
        Found::Done(_) => "done".to_owned(),
        Found::Nothing => "nothing".to_owned(),
        Found::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

const OWN: [(&str, &str); 3] = [
    ("DONE", "done"),
    ("READY", "nothing"),
    ("ABORTED", "pay-process-aborted"),
];

#[tokio::test]
async fn that_another_session_is_still_open_says_nothing_of_ours() {
    for open in ["READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "A_NEW_ONE"] {
        for (own, expected) in OWN {
            assert_eq!(found_beside(open, own).await, expected, "{open}");
        }
    }
}

#[tokio::test]
async fn that_another_session_came_to_nothing_says_nothing_of_ours() {
    for given_up in ["ABORTED", "EXPIRED"] {
        for (own, expected) in OWN {
            assert_eq!(found_beside(given_up, own).await, expected, "{given_up}");
        }
    }
    // A charge counts in whichever session it was made.
    let server = MockServer::start().await;
    let mut other = payment("DONE");
    other["paymentKey"] = json!("the first session");
    on(&server, "GET", &by_order(), 200, other).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    let found = toss.probe_with(ORDER, "any", TOKEN).await;
    assert!(matches!(found, Found::Done(_)), "{found:?}");
    assert_eq!(requests(&server).await.len(), 1);
}
