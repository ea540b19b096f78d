//! Placing and reading orders, payments, deliveries and messages.

use reqwest::Method;
use serde_json::json;

use super::server::{Answer, Backend, TestServer, on_each_backend, order, order_paid_by};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_shipped_and_announced() {
    on_each_backend(async |server| {
        let answer = server.post("/orders", &order("33")).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let placed = answer.body();
        assert_eq!(
            (&placed["status"], &placed["total"]),
            (&json!("Paid"), &json!(45_000))
        );
        assert_eq!(
            (&placed["bookId"], &placed["qty"]),
            (&json!("9788937460449"), &json!(1))
        );
        let id = placed["orderId"].as_str().expect("an id");
        assert_eq!(
            answer.header("location"),
            Some(format!("/orders/{id}").as_str())
        );
        assert!(
            answer.header("consistency-token").is_some() && answer.header("x-request-id").is_some()
        );
        server
            .eventually(&format!("/orders/{id}"), |order| {
                order["status"] == "Shipped"
            })
            .await;
        let payment = server.get(&format!("/payments/{id}")).await.body();
        assert_eq!(
            (&payment["status"], &payment["charged"]),
            (&json!("Paid"), &json!(45_000))
        );
        let delivery = server.get(&format!("/deliveries/{id}")).await.body();
        assert_eq!(delivery["status"], "Shipped");
        let sent = |list: &serde_json::Value| list["_embedded"]["kakaos"][0]["state"] == "sent";
        let messages = server.eventually("/kakaos?customerId=33", sent).await;
        let message = messages["_embedded"]["kakaos"][0]["id"]
            .as_str()
            .expect("a message")
            .to_owned();
        assert_eq!(
            server.get(&format!("/kakaos/{message}")).await.body()["orderId"],
            id
        );
        assert_eq!(
            server.get(&format!("/kakaomsgs/{message}")).await.status,
            200
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_short_form_is_priced_by_the_shop() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.orders.default_unit_price = 700
    })
    .await;
    let answer = server
        .post(
            "/orders",
            &json!({ "bookId": 1, "qty": 3, "customerId": 5 }),
        )
        .await;
    let placed = answer.body();
    assert_eq!(
        (answer.status, &placed["total"], &placed["customerId"]),
        (201, &json!(2_100), &json!("5"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_is_402_and_leaves_a_rejected_order() {
    on_each_backend(async |server| {
        let answer = server
            .post("/orders", &order_paid_by("33", "decline"))
            .await;
        let problem = answer.is_problem("payment-declined", 402);
        let id = problem["orderId"].as_str().expect("the order");
        assert_eq!(
            server.get(&format!("/orders/{id}")).await.body()["status"],
            "Rejected"
        );
        server
            .delete(&format!("/orders/{id}"))
            .await
            .is_problem("already-rejected", 409);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_payment_is_202_and_goes_on_by_itself() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.orders.payment_budget = std::time::Duration::from_millis(300);
    })
    .await;
    let answer = server
        .post("/orders", &order_paid_by("33", "slow-2800"))
        .await;
    assert_eq!(
        (answer.status, &answer.body()["status"]),
        (202, &json!("Pending")),
        "{}",
        answer.text()
    );
    let id = answer.body()["orderId"].as_str().expect("an id").to_owned();
    server
        .eventually(&format!("/orders/{id}"), |order| {
            order["status"] == "Shipped"
        })
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_an_order_gets_its_pointer_and_a_sentence() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let answer = server
        .post("/orders", &json!({
            "lines": [{ "bookId": "b", "qty": 0, "unitPrice": "free" }, { "bookId": "", "qty": 1, "unitPrice": 1 }],
            "currency": "won", "contact": { "name": "N" }, "surprise": 1,
        }))
        .await;
    let problem = answer.is_problem("invalid-order", 422);
    let expected = [
        "/contact/phone",
        "/currency",
        "/customerId",
        "/lines/0/qty",
        "/lines/0/unitPrice",
        "/lines/1/bookId",
        "/surprise",
    ];
    assert_eq!(answer.pointers(), expected);
    let sentences = problem["errors"].as_array().expect("errors");
    assert!(sentences.iter().all(|error| {
        error["detail"]
            .as_str()
            .is_some_and(|detail| detail.ends_with('.'))
    }));
    let events = server.get("/events").await.body();
    assert_eq!(
        events["events"],
        json!([]),
        "nothing is stored of a refused order"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_the_client_has_is_not_sent_again() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    let path = format!("/orders/{id}");
    server
        .eventually(&path, |order| order["status"] == "Shipped")
        .await;
    let etag = server
        .get(&path)
        .await
        .header("etag")
        .expect("an ETag")
        .to_owned();
    let again = server
        .request(Method::GET, &path)
        .header("If-None-Match", &etag)
        .send()
        .await
        .expect("an answer");
    assert_eq!(again.status(), 304);
    let other = server
        .request(Method::GET, &path)
        .header("If-None-Match", "\"0\"")
        .send()
        .await
        .expect("an answer");
    assert_eq!(other.status(), 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_sent_about_an_order_that_is_not_ours() {
    on_each_backend(async |server| {
        let message =
            json!({ "orderId": "111", "customerId": "33", "status": "Shipped", "message": "sss" });
        let answer = server.post("/kakaos", &message).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let place = answer.header("location").expect("a location").to_owned();
        server
            .eventually(&place, |message| message["state"] == "SentMessage")
            .await;
        let refused = server
            .post("/kakaos", &json!({ "orderId": "1", "message": 7 }))
            .await;
        refused.is_problem("invalid-message", 422);
        assert_eq!(refused.pointers(), ["/customerId", "/message", "/status"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_cut_its_order_in_half() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    for number in 0..20 {
        let request = server
            .request(Method::POST, "/orders")
            .header("Idempotency-Key", format!("hang-up-{number}"))
            .json(&order_paid_by("33", "slow-150"))
            .timeout(std::time::Duration::from_millis(5 * number));
        // Whether the client got that far or not is the point.
        let _ = request.send().await;
    }
    for number in 0..20 {
        let request = server
            .request(Method::POST, "/orders")
            .header("Idempotency-Key", format!("hang-up-{number}"));
        let answer = Answer::of(
            request
                .json(&order_paid_by("33", "slow-150"))
                .send()
                .await
                .expect("an answer"),
        )
        .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let listed = |list: &serde_json::Value| list["page"]["count"] == 20;
    server
        .eventually("/orders?customerId=33&size=100", listed)
        .await;
    server.stop().await;
}
