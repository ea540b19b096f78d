//! What every answer carries, also one that no handler made.

use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::*;
use crate::http::health::{Health, Phase};

const SHOP: &str = "https://shop.example";

fn gate(places: usize) -> EarlyRefusalLayer {
    EarlyRefusalLayer {
        places: Arc::new(Semaphore::new(places)),
        health: Health::new(),
    }
}

#[tokio::test]
async fn a_browser_may_read_the_answer_of_a_panic_and_of_a_request_that_took_too_long() {
    let late = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::ZERO);
    let routes = Router::new()
        .route("/late", get(std::future::pending::<()>).layer(late))
        .route("/panic", get(async || -> () { panic!("planted") }));
    let served = around(routes, cors(&[SHOP.to_owned()]), gate(1));
    for (path, status) in [("/late", 408), ("/panic", 500)] {
        let request = Request::get(path).header(header::ORIGIN, SHOP);
        let request = request.body(Body::empty()).expect("a request");
        let answer = served.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), status);
        let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
        assert_eq!(
            header(header::CONTENT_TYPE),
            Some("application/problem+json")
        );
        assert_eq!(header(header::ACCESS_CONTROL_ALLOW_ORIGIN), Some(SHOP));
        let exposed = header(header::ACCESS_CONTROL_EXPOSE_HEADERS);
        assert!(exposed.is_some_and(|names| names.contains("retry-after")));
    }
}

/// What a process without a free place answers to this request; its handlers answer 200.
async fn without_a_place(gate: EarlyRefusalLayer, request: Request<Body>) -> Response {
    let all = get(async || ()).post(async || ()).delete(async || ());
    let routes = Router::new()
        .route("/orders", all.clone())
        .route("/webhooks/payment/toss", all);
    let served = around(routes, cors(&[SHOP.to_owned()]), gate);
    served.oneshot(request).await.expect("an answer")
}

fn post(path: &str) -> axum::http::request::Builder {
    Request::post(path).header(header::CONTENT_LENGTH, "2")
}

#[tokio::test]
async fn a_command_that_finds_no_place_is_refused_before_it_gets_anywhere() {
    let body = || Body::from("{}");
    for request in [
        post("/orders").body(body()),
        Request::delete("/orders").body(Body::empty()),
    ] {
        let answer = without_a_place(gate(0), request.expect("a request")).await;
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key(header::RETRY_AFTER));
        assert!(answer.headers().contains_key(REQUEST_ID));
    }
    let named = post("/orders")
        .header(REQUEST_ID, "from-the-proxy")
        .body(body());
    let answer = without_a_place(gate(0), named.expect("a request")).await;
    assert_eq!(answer.headers()[REQUEST_ID], "from-the-proxy");
    let free = post("/orders").body(body()).expect("a request");
    assert_eq!(without_a_place(gate(1), free).await.status(), 200);
}

#[tokio::test]
async fn what_needs_no_place_or_a_longer_answer_is_not_refused_early() {
    let large = Request::post("/orders").header(header::CONTENT_LENGTH, (1 << 20).to_string());
    let endless = Request::post("/orders").header(header::TRANSFER_ENCODING, "chunked");
    for request in [
        Request::get("/orders"),
        post("/webhooks/payment/toss"),
        post("/orders").header(header::ORIGIN, SHOP),
        large,
        endless,
    ] {
        let request = request.body(Body::empty()).expect("a request");
        let what = format!("{} {:?}", request.uri(), request.headers());
        assert_eq!(
            without_a_place(gate(0), request).await.status(),
            200,
            "{what}"
        );
    }
    let leaving = gate(0);
    leaving.health.enter(Phase::Draining);
    let request = post("/orders").body(Body::from("{}")).expect("a request");
    let answer = without_a_place(leaving, request).await;
    assert_eq!(
        (
            answer.status().as_u16(),
            &answer.headers()[header::CONNECTION]
        ),
        (200, &HeaderValue::from_static("close"))
    );
}
