//! The shapes of Toss Payments.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::outside::{Outside, answer, basic, query};
use crate::town::{STUCK, until};

#[tokio::test]
async fn a_payment_is_confirmed_once_per_key_and_found_by_order_and_by_key() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    let (status, payment) = outside.confirm(order, "k", "pay-1").await;
    assert_eq!(status, 200, "{payment}");
    for (field, value) in [
        ("paymentKey", json!("pay-1")),
        ("orderId", json!(order)),
        ("status", json!("DONE")),
        ("totalAmount", json!(33_000)),
        ("balanceAmount", json!(33_000)),
        ("currency", json!("KRW")),
        ("cancels", Value::Null),
        ("failure", Value::Null),
        ("version", json!("2022-11-16")),
    ] {
        assert_eq!(payment[field], value, "{field}");
    }
    let approved = payment["approvedAt"].as_str().unwrap();
    assert!(approved.ends_with("+09:00"), "{approved}");
    assert_eq!(
        outside.confirm(order, "k", "pay-1").await,
        (status, payment.clone())
    );
    assert_eq!(outside.get("/toss/v1/payments/pay-1").await.1, payment);
    let by_order = format!("/toss/v1/payments/orders/{order}");
    assert_eq!(outside.get(&by_order).await.1, payment);
    assert_eq!(
        outside.calls().await,
        ["charge k done", "charge k repeated"]
    );
}

#[tokio::test]
async fn a_second_confirm_of_what_is_paid_is_refused() {
    let outside = Outside::open().await;
    let (order, other) = (Uuid::now_v7(), Uuid::now_v7());
    outside.confirm(order, "a", "pay-1").await;
    for (order, payment) in [(order, "pay-1"), (order, "pay-2"), (other, "pay-1")] {
        let (status, error) = outside
            .confirm(order, &format!("{order}{payment}"), payment)
            .await;
        assert_eq!(
            (status.as_u16(), &error["code"]),
            (400, &json!("ALREADY_PROCESSED_PAYMENT"))
        );
    }
    let (status, error) = outside
        .get(&format!("/toss/v1/payments/orders/{other}"))
        .await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (404, &json!("NOT_FOUND_PAYMENT"))
    );
    assert_eq!(
        outside.get("/toss/v1/payments/pay-1").await.1["orderId"],
        json!(order)
    );
}

#[tokio::test]
async fn a_key_used_for_another_order_gets_the_first_orders_answer() {
    let outside = Outside::open().await;
    let first = outside.confirm(Uuid::now_v7(), "same", "pay-1").await;
    assert_eq!(
        outside.confirm(Uuid::now_v7(), "same", "pay-2").await,
        first
    );
}

#[tokio::test]
async fn refunds_are_kept_under_their_key_and_never_exceed_the_charge() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    outside.confirm(order, "k", "pay-1").await;
    let (status, part) = outside.refund("pay-1", "r1", Some(3_000)).await;
    assert_eq!(status, 200, "{part}");
    assert_eq!(part["status"], "PARTIAL_CANCELED");
    assert_eq!(part["balanceAmount"], 30_000);
    let cancel = &part["cancels"][0];
    assert_eq!(cancel["cancelReason"], "changed their mind [r1]");
    assert_eq!(
        (&cancel["cancelAmount"], &cancel["cancelStatus"]),
        (&json!(3_000), &json!("DONE"))
    );
    assert_eq!(part["lastTransactionKey"], cancel["transactionKey"]);

    let (status, error) = outside.refund("pay-1", "r2", Some(30_001)).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (403, &json!("NOT_CANCELABLE_AMOUNT"))
    );
    let (_, rest) = outside.refund("pay-1", "r3", None).await;
    assert_eq!(
        (&rest["status"], &rest["balanceAmount"]),
        (&json!("CANCELED"), &json!(0))
    );
    assert_eq!(
        outside.refund("pay-1", "r1", Some(3_000)).await.1,
        part,
        "the stored answer"
    );
    assert_eq!(outside.refund("pay-1", "r3", None).await.1, rest);
    let (status, error) = outside.refund("pay-1", "r4", None).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (400, &json!("ALREADY_CANCELED_PAYMENT"))
    );
    let (status, error) = outside.refund("pay-9", "r5", None).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (404, &json!("NOT_FOUND_PAYMENT"))
    );
    let calls = outside.calls().await;
    assert_eq!(
        calls.iter().filter(|call| call.ends_with("done")).count(),
        3,
        "{calls:?}"
    );
    let confirmed = outside.confirm(order, "k", "pay-1").await.1;
    assert_eq!(
        confirmed["status"], "DONE",
        "a repeat gets what the first call got"
    );
}

#[tokio::test]
async fn a_declined_payment_is_refused_for_good_and_shown_as_aborted() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    for _ in 0..2 {
        let (status, error) = outside.confirm(order, "k", "decline:7").await;
        assert_eq!(
            (status.as_u16(), &error["code"]),
            (403, &json!("REJECT_CARD_PAYMENT"))
        );
    }
    let (_, payment) = outside
        .get(&format!("/toss/v1/payments/orders/{order}"))
        .await;
    assert_eq!(payment["status"], "ABORTED");
    assert_eq!(payment["failure"]["code"], "REJECT_CARD_PAYMENT");
    let (status, error) = outside.refund("decline:7", "r", None).await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (403, &json!("NOT_CANCELABLE_PAYMENT"))
    );
    assert_eq!(
        outside.calls().await,
        ["charge k refused", "charge k repeated"]
    );
}

#[tokio::test]
async fn words_may_be_shared_by_orders_as_payment_keys() {
    let outside = Outside::open().await;
    for _ in 0..2 {
        let order = Uuid::now_v7();
        let (status, payment) = outside.confirm(order, &order.to_string(), "slow-1").await;
        assert_eq!(status, 200, "{payment}");
        let key = payment["paymentKey"].as_str().unwrap();
        assert_eq!(
            outside.get(&format!("/toss/v1/payments/{key}")).await.1,
            payment
        );
    }
}

#[tokio::test]
async fn a_time_out_word_takes_the_money_and_never_answers() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    let body = json!({ "paymentKey": "timeout-charged:1", "orderId": order, "amount": 1_000 });
    let call = outside.keyed("/toss/v1/payments/confirm", "k", &body);
    let mut call = Box::pin(call.send());
    // However long it takes to arrive, nobody hangs up before.
    let taken = until("the money", STUCK, async || {
        let (_, payment) = outside.get("/toss/v1/payments/timeout-charged:1").await;
        (payment["status"] == "DONE").then_some(())
    });
    tokio::select! {
        answer = &mut call => panic!("{answer:?}"),
        () = taken => {}
    }
    let answer = tokio::time::timeout(Duration::from_millis(300), call).await;
    assert!(answer.is_err(), "{answer:?}");
    let (status, _) = outside.post("/toss/v1/payments/confirm", "k", &body).await;
    assert_eq!(status, 200);
    assert_eq!(
        outside.calls().await,
        ["charge k done", "charge k repeated"]
    );
}

#[tokio::test]
async fn malformed_and_unauthorized_requests_are_refused_as_the_documents_say() {
    let outside = Outside::open().await;
    let good = json!({ "paymentKey": "p", "orderId": "order-1", "amount": 100 });
    for (field, value) in [
        ("paymentKey", json!("")),
        ("paymentKey", json!("x".repeat(201))),
        ("orderId", json!("short")),
        ("orderId", json!("with blank")),
        ("amount", json!(0)),
        ("amount", json!("100")),
        ("amount", json!(1.5)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let (status, error) = outside.post("/toss/v1/payments/confirm", "k", &bad).await;
        assert_eq!(
            (status.as_u16(), &error["code"]),
            (400, &json!("INVALID_REQUEST")),
            "{bad}"
        );
    }
    let long = "k".repeat(301);
    let (status, error) = outside
        .post("/toss/v1/payments/confirm", &long, &good)
        .await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (400, &json!("INVALID_IDEMPOTENCY_KEY"))
    );
    for (header, status, code) in [
        (None, 401, "UNAUTHORIZED_KEY"),
        (Some(basic(":")), 401, "UNAUTHORIZED_KEY"),
        (
            Some(basic("test_sk_any")),
            403,
            "INCORRECT_BASIC_AUTH_FORMAT",
        ),
        (
            Some("Bearer test_sk_any".to_owned()),
            403,
            "INCORRECT_BASIC_AUTH_FORMAT",
        ),
    ] {
        let url = format!("{}/toss/v1/payments/p", outside.url);
        let mut request = outside.client.request(Method::GET, url);
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        let (got, error) = answer(request).await;
        assert_eq!(
            (got.as_u16(), &error["code"]),
            (status, &json!(code)),
            "{header:?}"
        );
    }
    assert_eq!(outside.calls().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_test_code_orders_an_error_and_changes_nothing() {
    let outside = Outside::open().await;
    let body = json!({ "paymentKey": "p", "orderId": Uuid::now_v7(), "amount": 100 });
    for (code, status) in [
        ("INVALID_STOPPED_CARD", 400),
        ("REJECT_CARD_COMPANY", 403),
        ("BRAND_NEW", 400),
    ] {
        let request = outside
            .keyed("/toss/v1/payments/confirm", "k", &body)
            .header("TossPayments-Test-Code", code);
        let (got, error) = answer(request).await;
        assert_eq!((got.as_u16(), &error["code"]), (status, &json!(code)));
        assert!(error["message"].is_string());
    }
    let (status, _) = outside.post("/toss/v1/payments/confirm", "k", &body).await;
    assert_eq!(status, 200, "the key keeps nothing of it");
}

#[tokio::test]
async fn transactions_are_listed_page_by_page() {
    let outside = Outside::open().await;
    let begin = chrono::Utc::now() - chrono::TimeDelta::minutes(1);
    let mut orders = Vec::new();
    for number in 0..5 {
        let order = Uuid::now_v7();
        let payment = format!("pay-{number}");
        outside.confirm(order, &payment, &payment).await;
        outside.ship(order, &format!("ship-{number}")).await;
        orders.push(json!(order));
    }
    outside.refund("pay-0", "r", None).await;
    let range = [
        ("startDate", begin.to_rfc3339()),
        ("endDate", "2099-01-01T00:00:00".to_owned()),
        ("limit", "2".to_owned()),
    ];
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut pairs: Vec<_> = range
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        pairs.extend(after.as_deref().map(|after| ("startingAfter", after)));
        let (status, page) = outside
            .get(&format!("/toss/v1/transactions?{}", query(&pairs)))
            .await;
        assert_eq!(status, 200, "{page}");
        let page = page.as_array().unwrap().clone();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = last["transactionKey"].as_str().map(str::to_owned);
        found.extend(page);
    }
    let listed: Vec<_> = found[..5].iter().map(|it| it["orderId"].clone()).collect();
    assert_eq!(listed, orders);
    assert_eq!(found.len(), 6);
    let refund = &found[5];
    assert_eq!(
        (&refund["status"], &refund["paymentKey"]),
        (&json!("CANCELED"), &json!("pay-0"))
    );
    let (status, _) = outside
        .get("/toss/v1/transactions?startDate=x&endDate=y")
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_charge_may_be_planted_beside_an_orders_own() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    outside.confirm(order, "k", "pay-1").await;
    let body = json!({ "orderId": order, "amount": 33_000 });
    let (status, planted) = answer(outside.request(Method::POST, "/charges").json(&body)).await;
    assert_eq!(status, 201, "{planted}");
    let payment = planted["paymentKey"].as_str().unwrap();
    let (_, second) = outside.get(&format!("/toss/v1/payments/{payment}")).await;
    assert_eq!(
        (&second["orderId"], &second["status"]),
        (&json!(order), &json!("DONE"))
    );
    let (status, back) = outside.refund(payment, "r", None).await;
    assert_eq!(
        (status.as_u16(), &back["status"]),
        (200, &json!("CANCELED"))
    );
    assert_eq!(
        outside.get("/toss/v1/payments/pay-1").await.1["status"],
        "DONE"
    );
    let (status, _) = answer(outside.request(Method::POST, "/charges").json(&json!({}))).await;
    assert_eq!(status, 422);
}
