//! Reading views over HTTP: pages, filters, and reading one's own writes.

use std::time::Instant;

use reqwest::Method;
use serde_json::Value;

use super::server::{Answer, Backend, PATIENCE, TestServer, on_each_backend, order, order_paid_by};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_makes_a_view_show_what_its_holder_has_done() {
    on_each_backend(async |server| {
        for _ in 0..10 {
            let placed = server.post("/orders", &order("33")).await;
            let id = placed.body()["orderId"].as_str().expect("an id").to_owned();
            let token = placed
                .header("consistency-token")
                .expect("a token")
                .to_owned();
            let request = server
                .request(Method::GET, &format!("/mypages/{id}"))
                .header("Consistency-Token", &token);
            assert_eq!(request.send().await.expect("an answer").status(), 200);
            assert_eq!(
                server
                    .get(&format!("/mypages/{id}?atLeast={token}"))
                    .await
                    .status,
                200
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_behind_says_so_after_the_preferred_wait() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let started = std::time::Instant::now();
    let request = server
        .request(Method::GET, "/mypages?atLeast=1000000")
        .header("Prefer", "wait=1");
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    answer.is_problem("view-behind", 503);
    assert!(answer.header("retry-after").is_some());
    assert!(started.elapsed() >= std::time::Duration::from_secs(1));
    server
        .get("/mypages?atLeast=soon")
        .await
        .is_problem("invalid-query", 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_log_is_refused_and_not_taken_for_a_position() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let other = TestServer::start(Backend::Sqlite, |_| {}).await;
    server.placed("33").await;
    let placed = other.post("/orders", &order("33")).await;
    let token = placed.header("consistency-token").expect("a token");
    let request = server
        .request(Method::GET, "/mypages")
        .header("Consistency-Token", token);
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    answer.is_problem("token-of-another-log", 409);
    for _ in 0..3 {
        other.placed("33").await;
    }
    let later = other.post("/orders", &order("33")).await;
    let beyond = later.header("consistency-token").expect("a token");
    server
        .get(&format!("/mypages?atLeast={beyond}"))
        .await
        .is_problem("token-of-another-log", 409);
    server.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_through_all_rows_once() {
    on_each_backend(async |server| {
        for number in 0..7 {
            server.placed(&format!("c{}", number % 2)).await;
        }
        server
            .eventually("/orders?size=100", |list| list["page"]["count"] == 7)
            .await;
        let mut next = Some("/orders?size=3".to_owned());
        let mut seen = Vec::new();
        while let Some(path) = next {
            let page = server.get(&path).await.body();
            let rows = page["_embedded"]["orders"]
                .as_array()
                .cloned()
                .expect("rows");
            seen.extend(
                rows.iter()
                    .map(|row| row["orderId"].as_str().expect("an id").to_owned()),
            );
            next = page["_links"]["next"]["href"].as_str().map(str::to_owned);
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), count), (7, 7));
        assert_eq!(
            server.get("/orders?customerId=c0").await.body()["page"]["count"],
            4
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_by_status_and_say_what_it_means() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    server
        .post("/orders", &order_paid_by("33", "decline"))
        .await;
    server.placed("33").await;
    let shipped = server
        .eventually("/mypages?status=Shipped", |list| list["page"]["count"] == 1)
        .await;
    let row = &shipped["_embedded"]["mypages"][0];
    assert!(
        row["statusText"]
            .as_str()
            .is_some_and(|text| text.contains("parcel"))
    );
    assert_eq!(row["cancelable"], true);
    let rejected = server
        .eventually("/orders?status=Rejected", |list| list["page"]["count"] == 1)
        .await;
    assert_eq!(rejected["_embedded"]["orders"][0]["status"], "Rejected");
    assert_eq!(
        server.get("/payments?status=Paid").await.body()["page"]["count"],
        1
    );
    assert_eq!(
        server.get("/deliveries?status=Shipped").await.body()["page"]["count"],
        1
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_rebuilt_while_it_is_read() {
    on_each_backend(async |server| {
        for _ in 0..5 {
            server.placed("33").await;
        }
        let before = server
            .eventually("/mypages", |list| list["page"]["count"] == 5)
            .await;
        for view in ["customer", "message", "saga"] {
            let started = server
                .post(&format!("/projections/{view}/rebuild"), &Value::Null)
                .await;
            assert_eq!(started.status, 202, "{}", started.text());
            let done = |status: &Value| status["lastRebuild"]["state"] == "done";
            server
                .eventually(&format!("/projections/{view}"), done)
                .await;
        }
        let after = server.get("/mypages").await.body();
        assert_eq!(before["page"]["count"], after["page"]["count"]);
        server
            .post("/projections/none/rebuild", &Value::Null)
            .await
            .is_problem("not-found", 404);
        let all = server.get("/projections").await.body();
        assert_eq!(
            all["_embedded"]["projections"].as_array().map(Vec::len),
            Some(3)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rebuild_of_a_view_is_a_conflict_while_the_first_one_is_under_way() {
    on_each_backend(async |server| {
        server.placed("33").await;
        let rebuild = async || {
            let path = "/projections/customer/rebuild";
            server.post(path, &Value::Null).await
        };
        let deadline = Instant::now() + PATIENCE;
        // The first one may be over before the second is asked for; both never start at once.
        let refused = loop {
            let (one, other) = tokio::join!(rebuild(), rebuild());
            if let Some(refused) = [one, other].into_iter().find(|it| it.status != 202) {
                break refused;
            }
            assert!(Instant::now() < deadline, "none was refused");
        };
        let problem = refused.is_problem("conflict", 409);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("rebuilt already"), "{detail}");
        let done = |status: &Value| status["lastRebuild"]["state"] == "done";
        server.eventually("/projections/customer", done).await;
        assert_eq!(rebuild().await.status, 202, "now it may");
    })
    .await;
}
