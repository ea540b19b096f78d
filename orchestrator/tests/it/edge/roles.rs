//! Who may do what.

use reqwest::Method;
use serde_json::json;

use super::server::{Answer, Backend, TestServer, order, token_line};

const ALICE: &str = "alice-token";
const BOB: &str = "bob-token";
const SHOP: &str = "shop-token";
const OPERATOR: &str = "operator-token";

async fn start() -> TestServer {
    TestServer::start(Backend::Sqlite, |settings| {
        let file = settings.store.data_dir.with_file_name("tokens");
        let lines = [
            token_line("customer:alice", "alice-app", ALICE),
            token_line("customer:bob", "bob-app", BOB),
            token_line("service", "shop", SHOP),
            token_line("operator", "ops", OPERATOR),
        ];
        std::fs::write(&file, lines.concat()).expect("a token file");
        settings.edge.api_tokens = Some(file);
    })
    .await
}

async fn ask(server: &TestServer, token: Option<&str>, method: Method, path: &str) -> Answer {
    let mut request = server.request(method, path);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Answer::of(request.send().await.expect("an answer")).await
}

async fn place(server: &TestServer, token: &str, customer: &str) -> Answer {
    let request = server
        .request(Method::POST, "/orders")
        .bearer_auth(token)
        .json(&order(customer));
    Answer::of(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_token_except_probes_and_readers_of_the_manual() {
    let server = start().await;
    for path in [
        "/orders",
        "/events",
        "/sagas",
        "/mypages",
        "/projections",
        "/orders/00000000-0000-4000-8000-000000000000",
    ] {
        ask(&server, None, Method::GET, path)
            .await
            .is_problem("unauthorized", 401);
        ask(&server, Some("wrong"), Method::GET, path)
            .await
            .is_problem("unauthorized", 401);
    }
    ask(&server, None, Method::POST, "/orders")
        .await
        .is_problem("unauthorized", 401);
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs/",
        "/problems",
    ] {
        assert_eq!(
            ask(&server, None, Method::GET, path).await.status,
            200,
            "{path}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_orders_for_itself_only() {
    let server = start().await;
    assert_eq!(place(&server, ALICE, "alice").await.status, 201);
    place(&server, ALICE, "bob")
        .await
        .is_problem("forbidden", 403);
    assert_eq!(place(&server, SHOP, "bob").await.status, 201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_customers_order_looks_like_one_that_does_not_exist() {
    let server = start().await;
    let id = place(&server, ALICE, "alice").await.body()["orderId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (method, path) in [
        (Method::GET, "/orders/ID"),
        (Method::GET, "/payments/ID"),
        (Method::GET, "/deliveries/ID"),
        (Method::GET, "/mypages/ID"),
        (Method::GET, "/orders/ID/events"),
        (Method::DELETE, "/orders/ID"),
        (Method::POST, "/orders/ID/cancel"),
    ] {
        let of_alice = ask(&server, Some(BOB), method.clone(), &path.replace("ID", &id)).await;
        let of_nobody = ask(&server, Some(BOB), method, &path.replace("ID", nobody)).await;
        of_alice.is_problem("not-found", 404);
        assert_eq!(
            (of_alice.status, of_alice.bytes),
            (of_nobody.status, of_nobody.bytes),
            "{path}"
        );
    }
    assert_eq!(
        ask(&server, Some(ALICE), Method::GET, &format!("/orders/{id}"))
            .await
            .status,
        200
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_a_customer_its_own_rows_whatever_it_asks_for() {
    let server = start().await;
    place(&server, ALICE, "alice").await;
    let placed = place(&server, SHOP, "bob").await;
    let token = placed
        .header("consistency-token")
        .expect("a token")
        .to_owned();
    let count = async |caller: &str, path: &str| {
        let request = server
            .request(Method::GET, path)
            .bearer_auth(caller)
            .header("Consistency-Token", &token);
        Answer::of(request.send().await.expect("an answer"))
            .await
            .body()["page"]["count"]
            .clone()
    };
    for list in ["/orders", "/payments", "/mypages", "/customerviews"] {
        assert_eq!(count(ALICE, list).await, 1, "{list}");
        assert_eq!(
            count(ALICE, &format!("{list}?customerId=bob")).await,
            0,
            "{list}"
        );
        assert_eq!(count(SHOP, list).await, 2, "{list}");
        assert_eq!(
            count(OPERATOR, &format!("{list}?customerId=bob")).await,
            1,
            "{list}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_see_the_machinery() {
    let server = start().await;
    let id = place(&server, ALICE, "alice").await.body()["orderId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let machinery = [
        "/sagas".to_owned(),
        format!("/sagas/{id}"),
        "/events".to_owned(),
        "/projections".to_owned(),
        format!("/projections/customer/parked/{id}"),
    ];
    for path in &machinery {
        for caller in [ALICE, SHOP] {
            ask(&server, Some(caller), Method::GET, path)
                .await
                .is_problem("forbidden", 403);
        }
        assert_eq!(
            ask(&server, Some(OPERATOR), Method::GET, path).await.status,
            200,
            "{path}"
        );
    }
    for path in [
        format!("/sagas/{id}/cancel"),
        "/projections/saga/rebuild".into(),
        "/projections/saga/pause".into(),
        "/customers/alice/erase".into(),
    ] {
        let request = server
            .request(Method::POST, &path)
            .bearer_auth(SHOP)
            .json(&json!({ "reason": "x" }));
        Answer::of(request.send().await.expect("an answer"))
            .await
            .is_problem("forbidden", 403);
    }
    let stream = server
        .request(Method::GET, "/events/stream")
        .bearer_auth(ALICE)
        .send()
        .await
        .expect("an answer");
    assert_eq!(stream.status(), 403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn name_and_address_are_for_their_customers_eyes_until_they_are_erased() {
    let server = start().await;
    let id = place(&server, ALICE, "alice").await.body()["orderId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/orders/{id}");
    let own = ask(&server, Some(ALICE), Method::GET, &path).await.body();
    assert_eq!(
        (&own["contact"]["name"], &own["address"]["city"]),
        (&json!("Hong Gil-dong"), &json!("Seoul"))
    );
    assert!(
        own.get("payment").is_none(),
        "a payment token is for the provider only"
    );
    for caller in [SHOP, OPERATOR] {
        let seen = ask(&server, Some(caller), Method::GET, &path).await.body();
        assert!(seen.get("contact").is_none() && seen.get("address").is_none());
    }
    let erase = server
        .request(Method::POST, "/customers/alice/erase")
        .bearer_auth(OPERATOR);
    let erased = Answer::of(
        erase
            .json(&json!({ "reason": "asked for" }))
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    assert_eq!(
        (erased.status, &erased.body()["erased"]),
        (200, &json!(true))
    );
    let after = ask(&server, Some(ALICE), Method::GET, &path).await.body();
    assert!(after.get("contact").is_none() && after.get("address").is_none());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_events_do_not_show_the_saga() {
    let server = start().await;
    let id = place(&server, ALICE, "alice").await.body()["orderId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let sagas = async |caller: &str| {
        let page = ask(
            &server,
            Some(caller),
            Method::GET,
            &format!("/orders/{id}/events"),
        )
        .await
        .body();
        let events = page["events"].as_array().cloned().expect("events");
        events
            .iter()
            .filter(|event| {
                event["stream"]
                    .as_str()
                    .is_some_and(|stream| stream.starts_with("saga"))
            })
            .count()
    };
    assert_eq!(sagas(ALICE).await, 0);
    assert!(sagas(OPERATOR).await > 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_one_caller_is_not_the_key_of_another() {
    let server = start().await;
    let with_key = async |caller: &str| {
        let request = server
            .request(Method::POST, "/orders")
            .bearer_auth(caller)
            .header("Idempotency-Key", "1");
        Answer::of(
            request
                .json(&order("alice"))
                .send()
                .await
                .expect("an answer"),
        )
        .await
        .body()["orderId"]
            .clone()
    };
    assert_ne!(with_key(ALICE).await, with_key(SHOP).await);
    server.stop().await;
}
