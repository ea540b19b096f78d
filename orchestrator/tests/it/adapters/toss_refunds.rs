//! Toss Payments: giving money back, once, and finding out whether it went.

use orchestrator::providers::ports::{Answer, Found, PaymentPort};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::server::*;
use super::toss::by_order;
use super::toss_codes::reference;

fn cancel_path() -> String {
    format!("/v1/payments/{TOKEN}/cancel")
}

fn our_reason() -> String {
    format!("Order canceled [{}]", refund_key())
}

fn word<T>(found: &Found<T>) -> &str {
    match found {
        Found::Done(_) => "done",
        Found::Refused(refusal) => &refusal.code,
        Found::Nothing => "nothing",
        Found::Undecided(_) => "undecided",
        Found::Unknown(_) => "unknown",
    }
}

#[tokio::test]
async fn a_refund_names_its_sum_and_carries_its_key_where_a_look_finds_it() {
    let server = MockServer::start().await;
    on(&server, "GET", &by_order(), 200, payment("DONE")).await;
    on(
        &server,
        "POST",
        &cancel_path(),
        200,
        given_back(&our_reason(), "DONE"),
    )
    .await;
    let toss = toss_at(&server.uri(), PATIENCE);
    match toss.refund(refund(&reference().await)).await {
        Answer::Done(moved) => {
            assert_eq!(moved.amount, won(33_000));
            assert_eq!(moved.reference, "090A796806E726BBB929F4A2CA7DB9A7");
        }
        other => panic!("{other:?}"),
    }
    let requests = requests(&server).await;
    let sent = requests.last().expect("a request");
    assert_eq!(header(sent, "idempotency-key"), refund_key());
    assert_eq!(
        body(sent),
        json!({ "cancelReason": our_reason(), "cancelAmount": 33000 })
    );
}

#[tokio::test]
async fn what_went_back_already_is_not_sent_again() {
    for reason in [our_reason(), "by hand in the dashboard".to_owned()] {
        let server = MockServer::start().await;
        on(
            &server,
            "GET",
            &by_order(),
            200,
            given_back(&reason, "DONE"),
        )
        .await;
        let toss = toss_at(&server.uri(), PATIENCE);
        let answer = toss.refund(refund(&reference().await)).await;
        assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
        assert_eq!(requests(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_refund_whose_answer_was_an_error_is_found_by_its_key() {
    for (status, code) in [
        (500, "FAILED_REFUND_PROCESS"),
        (400, "ALREADY_CANCELED_PAYMENT"),
        (403, "NOT_CANCELABLE_AMOUNT"),
        (403, "NOT_CANCELABLE_PAYMENT"),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", &by_order(), 200, payment("DONE")).await;
        on(&server, "POST", &cancel_path(), status, error(code)).await;
        let after = given_back(&our_reason(), "DONE");
        on(&server, "GET", &format!("/v1/payments/{TOKEN}"), 200, after).await;
        let toss = toss_at(&server.uri(), PATIENCE);
        let answer = toss.refund(refund(&reference().await)).await;
        assert!(matches!(answer, Answer::Done(_)), "{code}: {answer:?}");
    }
}

#[tokio::test]
async fn a_look_finds_a_refund_by_its_key_or_by_all_that_went_back() {
    let with = |cancels: Value, left: i64| {
        let mut payment = payment("PARTIAL_CANCELED");
        (payment["cancels"], payment["balanceAmount"]) = (cancels, json!(left));
        payment
    };
    let (ours, whole, reference) = (our_reason(), 33_000, reference().await);
    let earlier = "Order canceled [an earlier key of ours]";
    for (payment, expected) in [
        (payment("DONE"), "nothing"),
        (given_back(&ours, "DONE"), "done"),
        (given_back(&ours, "IN_PROGRESS"), "undecided"),
        (given_back(&ours, "ABORTED"), "refund-aborted"),
        (given_back(&ours, "NEW"), "undecided"),
        (given_back("by hand", "DONE"), "done"),
        // What went back under a key that was used up has gone back; what is on its way may still do so.
        (given_back(earlier, "DONE"), "done"),
        (
            with(json!([cancel(earlier, whole, "IN_PROGRESS")]), whole),
            "undecided",
        ),
        (
            with(json!([cancel(earlier, whole, "ABORTED")]), whole),
            "nothing",
        ),
        // By hand, in two parts that are all of it.
        (
            with(
                json!([
                    cancel("by hand", 3000, "DONE"),
                    cancel("by hand", 30_000, "DONE")
                ]),
                0,
            ),
            "done",
        ),
        // By hand, a part only.
        (
            with(json!([cancel("by hand", 3000, "DONE")]), 30_000),
            "nothing",
        ),
        // The parts and what is left do not agree.
        (with(json!([cancel("by hand", 3000, "DONE")]), 0), "nothing"),
        (
            with(json!([cancel("by hand", whole, "DONE")]), 3000),
            "nothing",
        ),
        (
            with(
                json!([cancel("a", whole, "DONE"), cancel("b", whole, "ABORTED")]),
                0,
            ),
            "done",
        ),
        (
            with(json!([cancel(&ours, 3000, "DONE")]), 30_000),
            "undecided",
        ),
        (
            with(
                json!([
                    cancel("by hand", 3000, "DONE"),
                    cancel(&ours, whole, "DONE")
                ]),
                0,
            ),
            "done",
        ),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", &by_order(), 200, payment.clone()).await;
        let toss = toss_at(&server.uri(), PATIENCE);
        let found = toss.probe_refund(refund(&reference)).await;
        assert_eq!(word(&found), expected, "{payment}");
    }
}

/// The provider stopped ours, and somebody gave the money back by hand.
#[tokio::test]
async fn a_refund_of_ours_that_was_stopped_hides_nothing_that_went_back() {
    let ours = cancel(&our_reason(), 33_000, "ABORTED");
    let by_hand = |amount, status| cancel("by hand", amount, status);
    let whole = vec![ours.clone(), by_hand(33_000, "DONE")];
    let parts = vec![
        by_hand(30_000, "DONE"),
        ours.clone(),
        by_hand(3_000, "DONE"),
    ];
    let going = vec![ours.clone(), by_hand(33_000, "IN_PROGRESS")];
    let again = vec![ours.clone(), cancel(&our_reason(), 33_000, "DONE")];
    for (cancels, balance, expected) in [
        (whole, 0, "done"),
        (parts, 0, "done"),
        (again, 0, "done"),
        (going, 0, "undecided"),
        (vec![ours], 33_000, "refund-aborted"),
    ] {
        let mut shown = given_back("", "DONE");
        shown["cancels"] = json!(cancels);
        shown["balanceAmount"] = json!(balance);
        let server = MockServer::start().await;
        on(&server, "GET", &by_order(), 200, shown).await;
        let toss = toss_at(&server.uri(), PATIENCE);
        let found = toss.probe_refund(refund(&reference().await)).await;
        assert_eq!(word(&found), expected, "{cancels:?}");
    }
}

#[tokio::test]
async fn a_payment_that_went_back_in_parts_by_hand_is_not_asked_for_again() {
    let server = MockServer::start().await;
    let mut parts = payment("CANCELED");
    parts["balanceAmount"] = json!(0);
    parts["cancels"] = json!([
        cancel("by hand", 3000, "DONE"),
        cancel("by hand", 30_000, "DONE")
    ]);
    on(&server, "GET", &by_order(), 200, parts).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    match toss.refund(refund(&reference().await)).await {
        Answer::Done(moved) => assert_eq!(moved.amount, won(33_000)),
        other => panic!("{other:?}"),
    }
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_refund_that_is_on_its_way_is_undecided_and_one_that_was_stopped_is_refused() {
    let reference = reference().await;
    for (status, expected) in [("IN_PROGRESS", false), ("ABORTED", true)] {
        let server = MockServer::start().await;
        on(&server, "GET", &by_order(), 200, payment("DONE")).await;
        let after = given_back(&our_reason(), status);
        on(&server, "POST", &cancel_path(), 200, after).await;
        let answer = toss_at(&server.uri(), PATIENCE)
            .refund(refund(&reference))
            .await;
        match answer {
            Answer::Refused(refusal) => {
                assert!(expected);
                assert_eq!(refusal.code, "refund-aborted");
            }
            Answer::Undecided(_) => assert!(!expected),
            other => panic!("{other:?}"),
        }
    }
}

/// An order whose payment by its own name is another one than the test's.
async fn with_another_payment(server: &MockServer, mut other: Value) {
    other["paymentKey"] = json!("another-payment");
    on(server, "GET", &by_order(), 200, other).await;
}

/// One line of the list of movements.
fn listed(transaction: &str, payment_key: &str) -> Value {
    json!({
        "mId": "tosspayments", "transactionKey": transaction, "paymentKey": payment_key, "orderId": ORDER.to_string(),
        "currency": "KRW", "method": "카드", "customerKey": null, "useEscrow": false, "amount": 33000, "status": "DONE",
        "transactionAt": "2026-11-22T12:31:34+09:00"
    })
}

#[tokio::test]
async fn a_refund_of_another_payment_of_the_order_is_not_taken_for_this_one() {
    let reference = reference().await;
    for (own, expected) in [
        (payment("DONE"), "nothing"),
        (given_back(&our_reason(), "DONE"), "done"),
    ] {
        let server = MockServer::start().await;
        with_another_payment(&server, given_back("Order canceled [another key]", "DONE")).await;
        on(
            &server,
            "GET",
            "/v1/transactions",
            200,
            json!([listed("T", TOKEN)]),
        )
        .await;
        on(&server, "GET", &format!("/v1/payments/{TOKEN}"), 200, own).await;
        let toss = toss_at(&server.uri(), PATIENCE);
        let found = toss.probe_refund(refund(&reference)).await;
        assert_eq!(word(&found), expected);
    }
    // Nobody knows of it: what went back of the other one says nothing.
    let server = MockServer::start().await;
    with_another_payment(&server, given_back("by hand", "DONE")).await;
    on(&server, "GET", "/v1/transactions", 200, json!([])).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    assert_eq!(
        word(&toss.probe_refund(refund(&reference)).await),
        "nothing"
    );
}

#[tokio::test]
async fn a_payment_is_searched_from_the_moment_on_when_it_was_made() {
    let reference = reference().await;
    let server = MockServer::start().await;
    with_another_payment(&server, payment("DONE")).await;
    // A shop with so many payments that a search from the beginning of the month would never come to an end.
    Mock::given(method("GET"))
        .and(path("/v1/transactions"))
        .and(query_param("startDate", "2026-11-22T12:20:00"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([listed("T", TOKEN)])))
        .mount(&server)
        .await;
    on(
        &server,
        "GET",
        &format!("/v1/payments/{TOKEN}"),
        200,
        payment("DONE"),
    )
    .await;
    on(
        &server,
        "POST",
        &cancel_path(),
        200,
        given_back(&our_reason(), "DONE"),
    )
    .await;
    let answer = toss_at(&server.uri(), PATIENCE)
        .refund(refund(&reference))
        .await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

#[tokio::test]
async fn a_search_that_comes_to_no_end_is_undecided_and_no_fault_of_the_providers() {
    let reference = reference().await;
    let server = MockServer::start().await;
    with_another_payment(&server, payment("DONE")).await;
    let full: Vec<_> = (0..100)
        .map(|nth| listed(&format!("T{nth}"), "a-third-payment"))
        .collect();
    on(&server, "GET", "/v1/transactions", 200, json!(full)).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    let answer = toss.refund(refund(&reference)).await;
    assert!(matches!(answer, Answer::Undecided(_)), "{answer:?}");
    let found = toss.probe_refund(refund(&reference)).await;
    assert_eq!(word(&found), "undecided");
}

#[tokio::test]
async fn the_second_payment_of_an_order_is_found_in_the_list_and_given_back() {
    let reference = reference().await;
    let server = MockServer::start().await;
    with_another_payment(&server, payment("DONE")).await;
    let listed = json!([listed("T", TOKEN)]);
    on(&server, "GET", "/v1/transactions", 200, listed).await;
    on(
        &server,
        "GET",
        &format!("/v1/payments/{TOKEN}"),
        200,
        payment("DONE"),
    )
    .await;
    on(
        &server,
        "POST",
        &cancel_path(),
        200,
        given_back(&our_reason(), "DONE"),
    )
    .await;
    let toss = toss_at(&server.uri(), PATIENCE);
    let answer = toss.refund(refund(&reference)).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
    // One that is in no list is for people: the money of another payment is not touched.
    match toss
        .refund(refund("toss-00000000000000000000000000000000"))
        .await
    {
        Answer::Refused(refusal) => assert_eq!(refusal.code, "not-found-payment"),
        other => panic!("{other:?}"),
    }
}
