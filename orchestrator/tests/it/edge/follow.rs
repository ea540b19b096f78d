//! A customer's orders as they change.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::server::{Answer, Backend, PATIENCE, TestServer, on_each_backend, order, token_line};

/// What a stream has sent so far.
pub(super) struct Told {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Told {
    #[track_caller]
    pub(super) fn of(response: Response) -> Told {
        assert_eq!(response.status(), 200);
        let bytes = Box::pin(response.bytes_stream());
        Told {
            bytes,
            text: String::new(),
        }
    }

    /// The next order with its id. A stream that is only kept alive tells nothing.
    pub(super) async fn next(&mut self) -> (String, Value) {
        let told = tokio::time::timeout(PATIENCE, self.read());
        told.await.expect("an order in time")
    }

    /// The next id that comes without an order: everything up to there was told.
    pub(super) async fn place(&mut self) -> String {
        let told = tokio::time::timeout(PATIENCE, self.block());
        let (id, page) = told.await.expect("a place in time");
        assert_eq!(page, None, "there is no order to tell");
        id
    }

    async fn read(&mut self) -> (String, Value) {
        loop {
            if let (id, Some(page)) = self.block().await {
                return (id, page);
            }
        }
    }

    /// The next id, with what came under it.
    async fn block(&mut self) -> (String, Option<Value>) {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = block.lines();
                    lines
                        .find_map(|line| line.strip_prefix(name))
                        .map(|value| value.trim().to_owned())
                };
                let (id, data) = (field("id:"), field("data:"));
                self.text = rest.to_owned();
                if let Some(id) = id {
                    let page = data.map(|data| serde_json::from_str(&data).expect("JSON"));
                    return (id, page);
                }
            }
            let more = self.bytes.next().await.expect("more").expect("bytes");
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// Reads until an order is as wanted; gives the id with which it came.
    async fn until(&mut self, id: &str, status: &str) -> String {
        loop {
            let (event, page) = self.next().await;
            assert_eq!(page["customerId"], "33", "somebody else's order");
            if page["orderId"] == id && page["status"] == status {
                return event;
            }
        }
    }
}

pub(super) async fn follow(server: &TestServer, query: &str, last: Option<&str>) -> Response {
    let mut request = server.request(Method::GET, &format!("/mypages/stream?{query}"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    request.send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_orders_are_told_as_they_change_and_nobody_elses() {
    on_each_backend(async |server| {
        let before = server.placed("33").await;
        let shipped = |page: &Value| page["messages"][0]["state"] == "sent";
        server
            .eventually(&format!("/mypages/{before}"), shipped)
            .await;
        let mut told = Told::of(follow(server, "customerId=33", None).await);
        server.placed("34").await;
        let id = server.placed("33").await;
        // Only what changes from now on. Several changes in a row may come as one.
        loop {
            let (_, page) = told.next().await;
            assert_eq!(page["orderId"], id.as_str());
            if page["status"] == "Shipped" {
                break;
            }
        }
        server.delete(&format!("/orders/{id}")).await;
        let last = told.until(&id, "Canceled").await;
        drop(told);

        // What happened while nobody listened comes after the last event that was received.
        server.delete(&format!("/orders/{before}")).await;
        let mut told = Told::of(follow(server, "customerId=33", Some(&last)).await);
        told.until(&before, "Canceled").await;
        for id in [before, id] {
            let mut start = Told::of(follow(server, "customerId=33&after=0", None).await);
            start.until(&id, "Canceled").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_follows_only_itself() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        let file = settings.store.data_dir.with_file_name("tokens");
        let lines = [
            token_line("customer:33", "alice", "alice-token"),
            token_line("service", "shop", "shop-token"),
        ];
        std::fs::write(&file, lines.concat()).expect("a token file");
        settings.edge.api_tokens = Some(file);
    })
    .await;
    let ask = async |query: &str, token: &str| {
        let path = format!("/mypages/stream?{query}");
        let request = server.request(Method::GET, &path).bearer_auth(token);
        request.send().await.expect("an answer")
    };
    let foreign = Answer::of(ask("customerId=34", "alice-token").await).await;
    foreign.is_problem("not-found", 404);
    let nobody = Answer::of(ask("", "shop-token").await).await;
    nobody.is_problem("invalid-query", 400);
    let mut told = Told::of(ask("", "alice-token").await);
    for customer in ["34", "33"] {
        let request = server
            .request(Method::POST, "/orders")
            .bearer_auth("shop-token");
        let placed = request
            .json(&order(customer))
            .send()
            .await
            .expect("an answer");
        assert_eq!(placed.status(), 201);
    }
    let (_, first) = told.next().await;
    assert_eq!(first["customerId"], "33");
    drop(told);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_places_to_start_from_are_refused_and_seats_are_bounded_and_given_back() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.edge.max_subscribers = 1;
    })
    .await;
    let other = TestServer::start(Backend::Sqlite, |_| {}).await;
    let elsewhere = other.post("/orders", &order("33")).await;
    let elsewhere = elsewhere.header("consistency-token").expect("a token");
    server.placed("33").await;
    let refused = async |query: &str, last: Option<&str>| {
        Answer::of(follow(&server, query, last).await).await
    };
    refused("customerId=33", Some("nonsense"))
        .await
        .is_problem("invalid-header", 400);
    refused("customerId=33", Some(elsewhere))
        .await
        .is_problem("token-of-another-log", 409);
    refused("customerId=33&after=-1", None)
        .await
        .is_problem("invalid-query", 400);
    refused("customerId=", None)
        .await
        .is_problem("invalid-query", 400);

    let seat = follow(&server, "customerId=33", None).await;
    assert_eq!(seat.status(), 200);
    refused("customerId=33", None)
        .await
        .is_problem("too-many-subscribers", 503);
    // Customers take no place from operators.
    let operators = server.request(Method::GET, "/events/stream").send().await;
    assert_eq!(operators.expect("an answer").status(), 200);
    drop(seat);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while follow(&server, "customerId=33", None).await.status() != 200 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the place is not given back"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let note = json!({ "orderId": "1", "customerId": "33", "status": "Note", "message": "Hi." });
    assert_eq!(server.post("/kakaos", &note).await.status, 201);
    other.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_does_not_take_the_places_of_the_others() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        let file = settings.store.data_dir.with_file_name("tokens");
        let lines = [
            token_line("customer:33", "alice", "alice-token"),
            token_line("customer:34", "bob", "bob-token"),
        ];
        std::fs::write(&file, lines.concat()).expect("a token file");
        settings.edge.api_tokens = Some(file);
        settings.edge.max_subscribers = 6;
    })
    .await;
    let follow = async |token: &str| {
        let request = server.request(Method::GET, "/mypages/stream");
        let request = request.bearer_auth(token);
        request.send().await.expect("an answer")
    };
    let mut seats = Vec::new();
    for _ in 0..4 {
        let seat = follow("alice-token").await;
        assert_eq!(seat.status(), 200);
        seats.push(seat);
    }
    for _ in 0..10 {
        let refused = Answer::of(follow("alice-token").await).await;
        refused.is_problem("followed-too-often", 429);
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(follow("bob-token").await.status(), 200);
    seats.pop();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while follow("alice-token").await.status() != 200 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the place is not given back"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.stop().await;
}
