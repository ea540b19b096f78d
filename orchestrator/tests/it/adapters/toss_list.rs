//! Toss Payments: the list of movements, page by page.

use chrono::{DateTime, Utc};
use orchestrator::providers::ports::{Direction, Found, PaymentPort};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::server::*;
use super::toss_codes::reference;

fn transaction(key: &str, amount: i64, status: &str) -> Value {
    json!({
        "mId": "tosspayments", "transactionKey": key, "paymentKey": TOKEN, "orderId": ORDER.to_string(),
        "currency": "KRW", "method": "카드", "customerKey": "c", "useEscrow": false, "amount": amount, "status": status,
        "transactionAt": "2026-11-22T12:11:34+09:00"
    })
}

fn since() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().expect("a moment")
}

#[tokio::test]
async fn the_list_is_read_page_by_page_in_korean_time_and_says_which_way_money_went() {
    let server = MockServer::start().await;
    let mut first: Vec<_> = (0..100)
        .map(|n| transaction(&format!("t{n}"), 33_000, "DONE"))
        .collect();
    first[1] = transaction("t1", 33_000, "CANCELED");
    first[2] = transaction("t2", -3000, "PARTIAL_CANCELED");
    first[3] = transaction("t3", 33_000, "WAITING_FOR_DEPOSIT");
    Mock::given(method("GET"))
        .and(path("/v1/transactions"))
        .and(query_param("startDate", "2026-11-22T00:00:00"))
        .and(query_param_is_missing("startingAfter"))
        .respond_with(ResponseTemplate::new(200).set_body_json(first))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/v1/transactions"))
        .and(query_param("startingAfter", "t99"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
        .mount(&server)
        .await;
    let toss = toss_at(&server.uri(), PATIENCE);
    let Found::Done(page) = toss.records(since(), None).await else {
        panic!("no page");
    };
    assert_eq!(
        (page.records.len(), page.next.as_deref()),
        (99, Some("t99"))
    );
    let reference = reference().await;
    let (charged, returned, part) = (&page.records[0], &page.records[1], &page.records[2]);
    assert_eq!(
        (charged.direction, &charged.reference),
        (Direction::Charged, &reference)
    );
    assert_eq!(charged.order_id, ORDER.to_string());
    assert_eq!(
        charged.at,
        "2026-11-22T03:11:34Z".parse::<DateTime<Utc>>().unwrap()
    );
    assert_eq!(
        (returned.direction, returned.reference.as_str()),
        (Direction::Returned, "t1")
    );
    assert_eq!(returned.charge_ref, reference);
    assert_eq!(
        (part.direction, part.amount),
        (Direction::Returned, won(3000))
    );

    let Found::Done(last) = toss.records(since(), page.next).await else {
        panic!("no page");
    };
    assert_eq!((last.records.len(), last.next), (0, None));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_unknown_and_not_empty() {
    for (status, body) in [
        (200, json!({ "not": "a list" })),
        (
            200,
            json!([transaction("t", 1, "DONE"), { "status": "DONE" }]),
        ),
        (500, error("COMMON_ERROR")),
        (400, error("INVALID_TRANSACTION_KEY")),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", "/v1/transactions", status, body).await;
        let found = toss_at(&server.uri(), PATIENCE)
            .records(since(), None)
            .await;
        let unknown = matches!(found, Found::Unknown(_) | Found::Undecided(_));
        assert!(unknown, "{found:?}");
    }
}
