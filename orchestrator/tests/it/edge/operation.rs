//! Health, metrics and the API's own description.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;

use super::server::{Backend, PATIENCE, TestServer, both_at_once, on_each_backend};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_alive_ready_and_measured() {
    on_each_backend(async |server| {
        assert_eq!(server.get("/livez").await.body()["status"], "ok");
        assert_eq!(server.get("/readyz").await.body()["status"], "ok");
        server.placed("33").await;
        let metrics = server.get("/metrics").await.text();
        for name in [
            "bookmarket_http_requests_total",
            "bookmarket_http_request_seconds_bucket",
            "bookmarket_log_position",
            "bookmarket_projection_lag_seconds",
        ] {
            assert!(metrics.contains(name), "{name} is not in {metrics}");
        }
        assert!(metrics.contains("route=\"/orders\""));
        assert!(
            !metrics.contains("route=\"/metrics/"),
            "ids and queries are no labels"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_loop_turns_liveness_red_and_is_named() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let limit = Duration::from_millis(1);
    let never_run =
        server
            .edge()
            .health
            .watch_closely("a stuck loop", limit, std::future::pending::<()>());
    let red = server
        .eventually("/livez", |health| health["status"] == "stuck")
        .await;
    assert_eq!(red["stuck"], serde_json::json!(["a stuck loop"]));
    assert_eq!(server.get("/livez").await.status, 503);
    drop(never_run);
    assert_eq!(server.get("/livez").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_writes_any_more_turns_liveness_and_readiness_red() {
    let on = async |backend| {
        let server = TestServer::start(backend, |settings| {
            // What the saga has in its hands cannot be written down, and is waited for to the last.
            settings.edge.shutdown_grace = Duration::from_secs(3);
        })
        .await;
        server.placed("33").await;
        eventstore::testing::end_writer(&server.edge().store).await;
        for place in ["/livez", "/readyz"] {
            let red = server.get(place).await;
            assert_eq!(red.status, 503, "{place}");
            assert_eq!(red.body()["stuck"], serde_json::json!(["the log's writer"]));
        }
        assert_eq!(server.edge().ended(), ["the log's writer"]);
        let halted = server.halt().await;
        let server = halted
            .start(|settings| settings.edge.shutdown_grace = PATIENCE)
            .await;
        server.placed("34").await;
        assert_eq!(server.get("/livez").await.status, 200);
        server.stop().await;
    };
    // Each waits out its grace.
    both_at_once(on).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_beside_the_sagas_that_dies_turns_liveness_red() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let engine = server.edge().fulfilment.engine();
    engine.accompany("a loop", async { panic!("planted") });
    let red = server
        .eventually("/livez", |health| health["status"] == "stuck")
        .await;
    assert_eq!(red["stuck"], serde_json::json!(["a loop"]));
    assert_eq!(server.edge().ended(), ["a loop"]);
    server.stop().await;
}

/// Every address of the API.
const PROMISED: &[&str] = &[
    "/order-ids",
    "/orders",
    "/orders/{id}",
    "/orders/{id}/cancel",
    "/orders/{id}/events",
    "/payments",
    "/payments/{id}",
    "/deliveries",
    "/deliveries/{id}",
    "/kakaos",
    "/kakaos/{id}",
    "/mypages",
    "/mypages.csv",
    "/mypages/counts",
    "/mypages/stream",
    "/mypages/{orderId}",
    "/customerviews",
    "/customerviews/{orderId}",
    "/kakaomsgs",
    "/kakaomsgs.csv",
    "/kakaomsgs/counts",
    "/kakaomsgs/{id}",
    "/sagas",
    "/sagas/bulk",
    "/sagas/{id}",
    "/sagas/{id}/{verb}",
    "/events",
    "/events/stream",
    "/projections",
    "/projections/{name}",
    "/projections/{name}/parked/{key}",
    "/projections/{name}/rebuild",
    "/projections/{name}/{verb}",
    "/customers/{id}/erase",
    "/webhooks/{port}/{provider}",
    "/webhooks/{port}/{provider}/{secret}",
    "/reconcile",
    "/livez",
    "/readyz",
    "/metrics",
    "/problems",
    "/problems/{name}",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_description_covers_every_route_and_every_described_route_exists() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let description = server.get("/openapi.json").await.body();
    let described: BTreeSet<&str> = description["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(described, PROMISED.iter().copied().collect());
    for (path, methods) in description["paths"].as_object().expect("paths") {
        let place = path.replace("{verb}", "retry").replace("{name}", "x");
        let place = place
            .replace("{id}", "00000000-0000-4000-8000-000000000000")
            .replace("{orderId}", "00000000-0000-4000-8000-000000000000");
        for method in methods
            .as_object()
            .expect("methods")
            .keys()
            .filter(|_| !path.ends_with("/stream"))
        {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let answer = server
                .request(method.clone(), &place)
                .send()
                .await
                .expect("an answer");
            assert_ne!(answer.status(), 405, "{method} {path}");
            let body = answer.text().await.expect("a body");
            assert!(!body.contains("not part of the API"), "{method} {path}");
        }
        for answers in methods.as_object().expect("methods").values() {
            assert!(
                answers["summary"]
                    .as_str()
                    .is_some_and(|summary| !summary.is_empty()),
                "{path} is not explained"
            );
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_needs_no_other_machine() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let page = server.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(
        !page.text().contains("https://"),
        "the page loads something from elsewhere"
    );
    // Left to itself it would have a page elsewhere check the description.
    let settings = server.get("/docs/swagger-initializer.js").await.text();
    assert!(settings.contains("/openapi.json"), "{settings}");
    assert!(
        settings.contains("\"validatorUrl\": \"none\""),
        "{settings}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_of_other_origins_are_let_in_only_where_they_are_named() {
    let ask = async |server: &TestServer| {
        let request = server
            .request(Method::GET, "/livez")
            .header("Origin", "https://shop.example");
        request
            .send()
            .await
            .expect("an answer")
            .headers()
            .get("access-control-allow-origin")
            .cloned()
    };
    let closed = TestServer::start(Backend::Sqlite, |_| {}).await;
    assert_eq!(ask(&closed).await, None);
    closed.stop().await;
    let open = TestServer::start(Backend::Sqlite, |settings| {
        settings.edge.cors_origin = vec!["https://shop.example".into()]
    })
    .await;
    assert_eq!(ask(&open).await.expect("allowed"), "https://shop.example");
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_anyone_could_reach_does_not_start_without_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = super::server::settings(&folder);
    settings.edge.listen = "0.0.0.0:0".parse().expect("an address");
    let error = orchestrator::app::App::start(&settings)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.contains("--api-tokens") && error.contains("--insecure"),
        "{error}"
    );
    settings.edge.insecure = true;
    let app = orchestrator::app::App::start(&settings)
        .await
        .expect("overruled");
    app.stop().await;
}
