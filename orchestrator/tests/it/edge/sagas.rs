//! What operators see of sagas and do about them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Backend, PATIENCE, TestServer, on_each_backend, order_paid_by};

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_shows_what_it_waits_for_what_remains_and_its_history() {
    on_each_backend(async |server| {
        let id = server.placed("33").await;
        let path = format!("/sagas/{id}");
        // The message about it is a side branch, and remains until it is sent.
        let saga = server
            .eventually(&path, |saga| {
                saga["status"] == "waiting" && saga["remaining"] == json!(["handover", "track"])
            })
            .await;
        assert_eq!(
            (&saga["saga"], &saga["version"]),
            (&json!("fulfilment"), &json!(1))
        );
        assert_eq!(saga["step"], "handover");
        assert!(saga["waitsFor"][0]["until"].is_string());
        assert_eq!(saga["history"][0]["type"], "SagaStarted");
        let listed = |list: &Value| {
            list["_embedded"]["sagas"]
                .as_array()
                .is_some_and(|rows| rows.iter().any(|row| row["sagaId"] == id.as_str()))
        };
        server
            .eventually("/sagas?status=waiting&step=handover", listed)
            .await;
        assert_eq!(
            server.get("/sagas?overdue=true").await.body()["page"]["count"],
            0
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_cancels_as_the_customer_would() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    let answer = server
        .post(
            &format!("/sagas/{id}/cancel"),
            &json!({ "reason": "fraud" }),
        )
        .await;
    // Not that it was asked for: that it is done.
    assert_eq!(answer.status, 200, "{}", answer.text());
    let saga = answer.body();
    assert_eq!(saga["status"], saga["result"]);
    assert_eq!(saga["result"], "unwound");
    let order = server.get(&format!("/orders/{id}")).await.body();
    assert_eq!(order["status"], "Canceled");
    assert_eq!(order["canceled"]["reason"], "fraud");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_none_is_refused_where_it_stands() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.orders.payment_budget = Duration::from_millis(100);
    })
    .await;
    let placed = server.post("/orders", &order_paid_by("33", "down")).await;
    assert_eq!(placed.status, 202, "{}", placed.text());
    let placed = placed.body();
    let id = placed["orderId"].as_str().expect("an id");
    let resolve = async |evidence: Value| {
        let wish = json!({ "reason": "seen in the dashboard", "step": "pay", "outcome": "done",
            "evidence": evidence, "force": true });
        // An attempt may be under way at the moment.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = server.post(&format!("/sagas/{id}/resolve"), &wish).await;
            if answer.status != 409 || Instant::now() > deadline {
                return answer;
            }
        }
    };
    let refused = resolve(json!({ "refundRef": "R-17" })).await;
    refused.is_problem("invalid-request", 422);
    assert_eq!(refused.body()["errors"][0]["pointer"], "/evidence");
    let taken = resolve(json!({ "ref": "R-17" })).await;
    assert!(matches!(taken.status, 200 | 202), "{}", taken.text());
    let order = server.get(&format!("/payments/{id}")).await.body();
    assert_eq!(order["status"], "Paid", "{order}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_does_not_fit_is_refused_with_its_reason() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    server
        .eventually(&format!("/sagas/{id}"), |saga| saga["step"] == "handover")
        .await;
    let act =
        async |verb: &str, body: Value| server.post(&format!("/sagas/{id}/{verb}"), &body).await;
    act("skip", json!({ "reason": "x", "step": "pay" }))
        .await
        .is_problem("conflict", 409);
    act("retry", json!({ "reason": "x", "step": "refund" }))
        .await
        .is_problem("conflict", 409);
    act("dance", json!({ "reason": "x" }))
        .await
        .is_problem("not-found", 404);
    let refused = act("resolve", json!({ "step": 7, "force": "yes" })).await;
    refused.is_problem("invalid-request", 422);
    assert_eq!(
        refused.pointers(),
        ["/force", "/outcome", "/reason", "/step"]
    );
    let nobody = "/sagas/00000000-0000-4000-8000-000000000000";
    server.get(nobody).await.is_problem("not-found", 404);
    server
        .post(&format!("{nobody}/retry"), &json!({ "reason": "x" }))
        .await
        .is_problem("not-found", 404);
    server.stop().await;
}
