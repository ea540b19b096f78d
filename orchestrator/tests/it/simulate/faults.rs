//! What goes wrong by rule, down to the socket.

use std::time::{Duration, Instant};

use reqwest::{Error, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::outside::Outside;
use crate::town::{STUCK, until};

fn confirm_body(order: Uuid) -> Value {
    json!({ "paymentKey": format!("pay-{order}"), "orderId": order, "amount": 33_000 })
}

async fn try_confirm(outside: &Outside, order: Uuid) -> Result<Response, Error> {
    let body = confirm_body(order);
    let request = outside.keyed("/toss/v1/payments/confirm", &format!("{order}:pay"), &body);
    request.send().await
}

async fn is_paid(outside: &Outside, order: Uuid) -> bool {
    let path = format!("/toss/v1/payments/orders/{order}");
    outside.get(&path).await.0 == StatusCode::OK
}

fn rule(op: &str, fault: &str) -> Value {
    json!([{ "op": op, "fault": fault }])
}

#[tokio::test]
async fn commit_then_drop_takes_the_money_and_closes_the_connection() {
    let outside = Outside::open().await;
    outside.faults(rule("charge", "commit-then-drop")).await;
    let order = Uuid::now_v7();
    let error = try_confirm(&outside, order).await.unwrap_err();
    assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
    assert!(is_paid(&outside, order).await);
    outside.faults(json!([])).await;
    assert_eq!(try_confirm(&outside, order).await.unwrap().status(), 200);
    let key = format!("{order}:pay");
    let expected = [
        format!("charge {key} done"),
        format!("charge {key} repeated"),
    ];
    assert_eq!(outside.calls().await, expected);
}

#[tokio::test]
async fn drop_before_commit_closes_the_connection_and_nothing_has_happened() {
    let outside = Outside::open().await;
    outside.faults(rule("charge", "drop-before-commit")).await;
    let order = Uuid::now_v7();
    assert!(try_confirm(&outside, order).await.is_err());
    assert!(!is_paid(&outside, order).await);
    assert_eq!(outside.calls().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_port_that_is_down_closes_every_connection_and_the_others_go_on() {
    let outside = Outside::open().await;
    outside
        .faults(json!([{ "port": "payment", "fault": "down" }]))
        .await;
    let order = Uuid::now_v7();
    assert!(try_confirm(&outside, order).await.is_err());
    let url = format!("/toss/v1/payments/orders/{order}");
    assert!(
        outside
            .request(reqwest::Method::GET, &url)
            .send()
            .await
            .is_err()
    );
    assert_eq!(outside.ship(order, "s").await.0, 201);
}

#[tokio::test]
async fn in_progress_is_said_and_nothing_has_happened() {
    let outside = Outside::open().await;
    outside.faults(json!([{ "fault": "in-progress" }])).await;
    let order = Uuid::now_v7();
    let (status, error) = outside.confirm(order, "k", "p").await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (409, &json!("IDEMPOTENT_REQUEST_PROCESSING"))
    );
    let (status, error) = outside.ship(order, "s").await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (409, &json!("in-progress"))
    );
    assert_eq!(outside.calls().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_error_after_commit_says_500_and_it_has_happened() {
    let outside = Outside::open().await;
    outside
        .faults(json!([{ "fault": "error-after-commit" }]))
        .await;
    let order = Uuid::now_v7();
    let message = Uuid::now_v7();
    assert_eq!(outside.confirm(order, "k", "p").await.0, 500);
    assert_eq!(outside.ship(order, "s").await.0, 500);
    assert_eq!(outside.send(message, "o").await.0, 500);
    let expected = [
        "charge k done",
        "ship s done",
        &format!("send {message} done"),
    ];
    assert_eq!(outside.calls().await, expected);
}

#[tokio::test]
async fn a_reply_that_drips_comes_whole_in_the_end() {
    let outside = Outside::open().await;
    outside
        .faults(json!([{ "op": "charge", "fault": "drip", "delayMs": 1 }]))
        .await;
    let begun = Instant::now();
    let mut response = try_confirm(&outside, Uuid::now_v7()).await.unwrap();
    let (mut chunks, mut bytes) = (0, Vec::new());
    while let Some(chunk) = response.chunk().await.unwrap() {
        chunks += 1;
        bytes.extend_from_slice(&chunk);
    }
    let payment: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(payment["status"], "DONE");
    assert!(chunks > 20, "{chunks} pieces");
    assert!(begun.elapsed() >= Duration::from_millis(bytes.len() as u64));
}

#[tokio::test]
async fn a_huge_reply_is_larger_than_any_cap() {
    let outside = Outside::open().await;
    outside.faults(rule("charge", "huge")).await;
    let order = Uuid::now_v7();
    let mut response = try_confirm(&outside, order).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut read = 0;
    while read < 20 * 1024 * 1024 {
        read += response
            .chunk()
            .await
            .unwrap()
            .expect("there is more")
            .len();
    }
    drop(response);
    assert!(is_paid(&outside, order).await);
}

#[tokio::test]
async fn garbage_and_html_come_with_200_and_it_has_happened() {
    let outside = Outside::open().await;
    for (fault, kind) in [("garbage", "application/json"), ("html", "text/html")] {
        outside.faults(rule("charge", fault)).await;
        let order = Uuid::now_v7();
        let response = try_confirm(&outside, order).await.unwrap();
        assert_eq!(response.status(), 200);
        let got = response.headers()["content-type"].to_str().unwrap();
        assert!(got.starts_with(kind), "{got}");
        assert!(response.json::<Value>().await.is_err(), "{fault}");
        assert!(is_paid(&outside, order).await, "{fault}");
    }
}

#[tokio::test]
async fn the_first_answer_stays_under_its_key_be_it_a_decline_or_a_passing_failure() {
    let outside = Outside::open().await;
    let orders = [Uuid::now_v7(), Uuid::now_v7()];
    for (order, key, code, then) in [
        (orders[0], "k1", "PROVIDER_ERROR", "INVALID_STOPPED_CARD"),
        (orders[1], "k2", "INVALID_STOPPED_CARD", "PROVIDER_ERROR"),
    ] {
        let decline = |code| json!([{ "fault": "decline", "code": code }]);
        for drawn in [decline(code), decline(then), json!([])] {
            outside.faults(drawn).await;
            let (status, error) = outside.confirm(order, key, key).await;
            assert_eq!((status.as_u16(), &error["code"]), (400, &json!(code)));
        }
    }
    // Only the decline is in the ledger, and only after the failure another key is of use.
    assert_eq!(
        outside.calls().await,
        [
            "charge k2 refused",
            "charge k2 repeated",
            "charge k2 repeated"
        ]
    );
    assert_eq!(outside.confirm(orders[0], "k3", "k1").await.0, 200);
}

#[tokio::test]
async fn a_failed_refund_stays_failed_under_its_key_until_the_key_is_forgotten() {
    let mut outside = Outside::open().await;
    outside.confirm(Uuid::now_v7(), "k", "p").await;
    let failing = json!([{ "op": "refund", "fault": "refuse", "code": "FAILED_REFUND_PROCESS" }]);
    outside.faults(failing).await;
    outside.refund("p", "r", None).await;
    outside.restart().await;
    outside.faults(json!([])).await;
    let (status, error) = outside.refund("p", "r", None).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (500, &json!("FAILED_REFUND_PROCESS"))
    );
    outside.faults(json!([{ "fault": "forget-key" }])).await;
    assert_eq!(outside.refund("p", "r", None).await.0, 200);
    assert_eq!(outside.calls().await, ["charge k done", "refund r done"]);
}

#[tokio::test]
async fn that_the_first_call_is_under_way_is_kept_under_no_key() {
    let outside = Outside::open().await;
    outside.confirm(Uuid::now_v7(), "k", "p").await;
    let busy =
        json!([{ "op": "refund", "fault": "refuse", "code": "IDEMPOTENT_REQUEST_PROCESSING" }]);
    outside.faults(busy).await;
    assert_eq!(outside.refund("p", "r", None).await.0, 409);
    outside.faults(json!([])).await;
    assert_eq!(outside.refund("p", "r", None).await.0, 200);
}

#[tokio::test]
async fn refunds_holds_shipments_and_messages_are_refused_with_their_codes() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    outside.confirm(order, "k", "p").await;
    outside.ship(order, "s").await;
    outside.faults(json!([{ "fault": "refuse" }])).await;
    let (status, error) = outside.refund("p", "r", None).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (400, &json!("REFUND_REJECTED"))
    );
    let hold = format!("/label/v1/shipments/{order}/hold");
    let (status, error) = outside.post(&hold, "h", &json!({})).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (409, &json!("handed-over"))
    );
    let (status, error) = outside.ship(Uuid::now_v7(), "s2").await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (422, &json!("address-refused"))
    );
    let (status, sent) = outside.send(Uuid::now_v7(), "o").await;
    assert_eq!(status, 200);
    assert_eq!(sent["failedMessageList"][0]["statusCode"], "3104");
    assert_eq!(sent["messageList"], json!([]));
    let refused = outside.calls().await;
    assert_eq!(
        refused
            .iter()
            .filter(|call| call.ends_with("refused"))
            .count(),
        4,
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_forgotten_key_is_a_new_call_that_the_provider_itself_refuses() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    outside.confirm(order, "k", "p").await;
    outside.faults(json!([{ "fault": "forget-key" }])).await;
    let (status, error) = outside.confirm(order, "k", "p").await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (400, &json!("ALREADY_PROCESSED_PAYMENT"))
    );
    assert_eq!(outside.refund("p", "r", None).await.0, 200);
    let (status, error) = outside.refund("p", "r", None).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (400, &json!("ALREADY_CANCELED_PAYMENT"))
    );
    assert_eq!(
        outside.get("/toss/v1/payments/p").await.1["status"],
        "CANCELED"
    );
}

#[tokio::test]
async fn delays_come_before_the_call_and_a_client_that_hangs_up_changes_nothing() {
    let outside = Outside::open().await;
    outside
        .faults(json!([{ "op": "charge", "fault": "delay", "delayMs": 2_000 }]))
        .await;
    let order = Uuid::now_v7();
    let body = confirm_body(order);
    let call = outside.keyed("/toss/v1/payments/confirm", "k", &body);
    // However long it takes to arrive, nobody hangs up before.
    let arrived = until("the call", STUCK, async || {
        let (_, rules) = outside.get("/faults").await;
        (rules["rules"][0]["struck"] == 1).then_some(())
    });
    tokio::select! {
        answer = call.send() => panic!("{answer:?}"),
        () = arrived => {}
    }
    assert!(!is_paid(&outside, order).await);
    let paid = async || is_paid(&outside, order).await.then_some(());
    until("the money", STUCK, paid).await;
}

#[tokio::test]
async fn a_refund_may_be_through_later() {
    let mut outside = Outside::open().await;
    let order = Uuid::now_v7();
    outside.confirm(order, "k", "p").await;
    outside
        .faults(json!([{ "fault": "async", "delayMs": 3_600_000 }]))
        .await;
    let (status, begun) = outside.refund("p", "r", None).await;
    assert_eq!((status.as_u16(), &begun["status"]), (200, &json!("DONE")));
    let cancel = &begun["cancels"][0];
    assert_eq!(cancel["cancelStatus"], "IN_PROGRESS");
    assert_eq!(cancel["cancelReason"], "changed their mind [r]");
    assert_eq!(outside.refund("p", "r", None).await.1, begun);
    let (status, error) = outside.refund("p", "r2", None).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (400, &json!("ALREADY_CANCELED_PAYMENT"))
    );

    outside.restart().await;
    assert_eq!(
        outside.get("/toss/v1/payments/p").await.1["cancels"],
        begun["cancels"]
    );

    let other = Uuid::now_v7();
    outside.confirm(other, "k2", "p2").await;
    outside
        .faults(json!([{ "fault": "async", "delayMs": 1 }]))
        .await;
    outside.refund("p2", "r3", None).await;
    let payment = until("the end of the refund", STUCK, async || {
        let payment = outside.get("/toss/v1/payments/p2").await.1;
        (payment["status"] == "CANCELED").then_some(payment)
    });
    let payment = payment.await;
    assert_eq!(payment["cancels"][0]["cancelStatus"], "DONE");
    let calls = outside.calls().await;
    assert_eq!(calls.last().unwrap(), "refund r3 done");
    assert!(!calls.contains(&"refund r done".to_owned()));
}

#[tokio::test]
async fn rules_are_replaced_as_a_whole_and_a_wrong_one_changes_nothing() {
    let outside = Outside::open().await;
    let rules =
        json!({ "seed": 9, "rules": [{ "op": "charge", "fault": "decline", "rate": 0.5 }] });
    let (status, told) = outside.put_faults(&rules).await;
    assert_eq!(status, 200);
    assert_eq!(outside.get("/faults").await.1, told);
    assert_eq!(
        (&told["seed"], &told["rules"][0]["rate"]),
        (&json!(9), &json!(0.5))
    );
    let wrong = json!({ "rules": [{ "fault": "down" }, { "fault": "down", "rate": 2 }] });
    let (status, error) = outside.put_faults(&wrong).await;
    assert_eq!(
        (status.as_u16(), &error["field"]),
        (422, &json!("rules[1].rate"))
    );
    assert_eq!(outside.get("/faults").await.1, told);
    assert_eq!(
        outside.put_faults(&json!({ "rules": [] })).await.1["rules"],
        json!([])
    );
}
