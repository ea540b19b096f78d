//! Whatever goes wrong, the answer is a problem.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use super::server::{Answer, Backend, TestServer, on_each_backend};

async fn send(
    server: &TestServer,
    method: Method,
    path: &str,
    kind: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let mut request = server.request(method, path).body(body);
    if let Some(kind) = kind {
        request = request.header("Content-Type", kind);
    }
    Answer::of(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_there_twice_is_refused_with_its_pointer() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let json = Some("application/json");
    let body = r#"{"bookId": "b", "qty": 1, "customerId": "33", "qty": 100}"#;
    let twice = send(&server, Method::POST, "/orders", json, body).await;
    twice.is_problem("invalid-request", 422);
    assert_eq!(twice.pointers(), ["/qty"]);
    let nothing = server.get("/events").await.body();
    assert_eq!(nothing["events"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frameworks_own_refusals_are_problems_too() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    const JSON: Option<&str> = Some("application/json");
    send(&server, Method::GET, "/nowhere", None, "")
        .await
        .is_problem("not-found", 404);
    let wrong_method = send(&server, Method::PATCH, "/orders", None, "").await;
    wrong_method.is_problem("method-not-allowed", 405);
    assert!(
        wrong_method
            .header("allow")
            .is_some_and(|allow| allow.contains("POST"))
    );
    send(&server, Method::POST, "/orders", None, "{}")
        .await
        .is_problem("unsupported-media-type", 415);
    send(&server, Method::POST, "/orders", Some("text/plain"), "{}")
        .await
        .is_problem("unsupported-media-type", 415);
    send(&server, Method::POST, "/orders", JSON, "")
        .await
        .is_problem("invalid-json", 400);
    let broken = send(
        &server,
        Method::POST,
        "/orders",
        JSON,
        "{\n  \"qty\": 1,,\n}",
    )
    .await
    .is_problem("invalid-json", 400);
    assert!(
        broken["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("line 2 column")),
        "{broken}"
    );
    send(&server, Method::POST, "/orders", JSON, vec![0xff, 0xfe])
        .await
        .is_problem("invalid-json", 400);
    send(
        &server,
        Method::POST,
        "/orders",
        JSON,
        r#"{"customerId":"\ud800"}"#,
    )
    .await
    .is_problem("invalid-json", 400);
    let huge = format!("{{\"customerId\":\"{}\"}}", "x".repeat(600 * 1024));
    send(&server, Method::POST, "/orders", JSON, huge)
        .await
        .is_problem("content-too-large", 413);
    let deep = "[".repeat(10_000);
    send(&server, Method::POST, "/orders", JSON, deep)
        .await
        .is_problem("invalid-json", 400);
    send(&server, Method::GET, "/orders?size=many", None, "")
        .await
        .is_problem("invalid-query", 400);
    send(&server, Method::GET, "/orders?cursor=x", None, "")
        .await
        .is_problem("invalid-query", 400);
    send(&server, Method::GET, "/orders/not-an-id", None, "")
        .await
        .is_problem("not-found", 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_are_refused_before_they_reach_the_store() {
    let server = TestServer::start(Backend::Postgres, |_| {}).await;
    for (name, value) in [
        ("customerId", "a\u{0}b"),
        ("customerId", "   "),
        ("externalId", "\u{1b}[31m"),
    ] {
        let mut order = super::server::order("33");
        order[name] = json!(value);
        let answer = server.post("/orders", &order).await;
        answer.is_problem("invalid-order", 422);
        assert_eq!(answer.pointers(), [format!("/{name}")]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_nothing_can_match_is_refused_by_its_name() {
    on_each_backend(async |server| {
        let long = format!("/mypages?customerId={}", "x".repeat(500));
        for (path, names) in [
            ("/orders?customerId=%00", "customerId"),
            ("/orders?status=%00", "status"),
            ("/orders?status=Lost", "`Rejected`"),
            ("/payments?status=Shipped", "`Declined`"),
            ("/deliveries?status=Paid", "`HandedOver`"),
            ("/kakaos?customerId=%00", "customerId"),
            ("/kakaomsgs?status=%1b", "status"),
            (long.as_str(), "customerId"),
            ("/sagas?step=%00", "step"),
            ("/sagas?status=lost", "`parked`"),
            ("/orders?size=0", "size"),
            ("/sagas?size=0", "size"),
            ("/events?limit=0", "limit"),
            ("/events?after=-1", "after"),
            ("/events/stream?after=-1", "after"),
            ("/events?category=%00", "category"),
        ] {
            let problem = server.get(path).await.is_problem("invalid-query", 400);
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(names), "{path}: {detail}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_problem_is_described_at_its_type() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let all = server.get("/problems").await.body();
    let all = all.as_array().expect("a list");
    assert!(all.len() > 15);
    for kind in all {
        let place = kind["type"].as_str().expect("a type");
        assert_eq!(&server.get(place).await.body(), kind);
    }
    server
        .get("/problems/none")
        .await
        .is_problem("not-found", 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_are_refused_and_cost_nobody_else_anything() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let status = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let headers: String = (0..200)
            .map(|number| format!("x-{number}: y\r\n"))
            .collect();
        stream
            .write_all(format!("GET /livez HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes())
            .expect("sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("a status line");
        String::from_utf8_lossy(&answer).into_owned()
    });
    assert_eq!(status.await.expect("a status"), "HTTP/1.1 431");
    assert_eq!(server.get("/livez").await.status, 200);
    server.stop().await;
}
