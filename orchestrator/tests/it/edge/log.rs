//! The log over HTTP: pages and the live stream.

use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::Value;

use super::server::{Answer, Backend, PATIENCE, TestServer, on_each_backend};

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_through_the_whole_log_without_a_gap() {
    on_each_backend(async |server| {
        let id = server.placed("33").await;
        server
            .eventually(&format!("/orders/{id}"), |order| {
                order["status"] == "Shipped"
            })
            .await;
        let (mut after, mut positions) = (0, Vec::new());
        loop {
            let page = server
                .get(&format!("/events?after={after}&limit=2"))
                .await
                .body();
            let events = page["events"].as_array().expect("events").clone();
            positions.extend(
                events
                    .iter()
                    .map(|event| event["position"].as_i64().expect("a position")),
            );
            let next = page["next"].as_i64().expect("next");
            if next == after {
                break;
            }
            after = next;
        }
        assert_eq!(positions, (1..=positions.len() as i64).collect::<Vec<_>>());
        let orders = server.get("/events?category=order").await.body();
        let streams = orders["events"].as_array().expect("events").iter();
        assert!(streams.clone().count() >= 3);
        assert!(
            streams
                .clone()
                .all(|event| event["stream"] == format!("order-{id}"))
        );
        server
            .get("/events?category=No!")
            .await
            .is_problem("invalid-query", 400);
    })
    .await;
}

/// Reads events off a stream until there are `count`.
async fn take(response: Response, count: usize) -> Vec<(String, Value)> {
    assert_eq!(response.status(), 200);
    let mut stream = response.bytes_stream();
    let (mut text, mut events) = (String::new(), Vec::new());
    while events.len() < count {
        let bytes = tokio::time::timeout(PATIENCE, stream.next())
            .await
            .expect("in time")
            .expect("more")
            .expect("bytes");
        text.push_str(&String::from_utf8_lossy(&bytes));
        while let Some((block, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::trim)
            };
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                events.push((id.to_owned(), serde_json::from_str(data).expect("JSON")));
            }
            text = rest.to_owned();
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_goes_on_where_it_ended() {
    on_each_backend(async |server| {
        let stream = server
            .request(Method::GET, "/events/stream?after=0")
            .send()
            .await
            .expect("a stream");
        server.placed("33").await;
        let first = take(stream, 3).await;
        let (last_id, _) = first.last().expect("an event");
        let resumed = server
            .request(Method::GET, "/events/stream")
            .header("Last-Event-ID", last_id);
        let more = take(resumed.send().await.expect("a stream"), 2).await;
        let positions: Vec<i64> = first
            .iter()
            .chain(&more)
            .map(|(_, event)| event["position"].as_i64().expect("one"))
            .collect();
        assert_eq!(positions[..5], [1, 2, 3, 4, 5]);
        let foreign = server
            .request(Method::GET, "/events/stream")
            .header("Last-Event-ID", "nonsense");
        Answer::of(foreign.send().await.expect("an answer"))
            .await
            .is_problem("invalid-header", 400);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_start_shows_only_what_happens_from_now_on() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let first = server.placed("33").await;
    server
        .eventually(&format!("/sagas/{first}"), |saga| {
            saga["status"] == "waiting"
        })
        .await;
    let stream = server
        .request(Method::GET, "/events/stream?category=order")
        .send()
        .await
        .expect("a stream");
    let second = server.placed("33").await;
    let events = take(stream, 1).await;
    assert_eq!(events[0].1["stream"], format!("order-{second}"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_for_subscribers_are_bounded_and_given_back() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.edge.max_subscribers = 1
    })
    .await;
    let seat = server
        .request(Method::GET, "/events/stream")
        .send()
        .await
        .expect("a stream");
    server
        .get("/events/stream")
        .await
        .is_problem("too-many-subscribers", 503);
    drop(seat);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while server
        .request(Method::GET, "/events/stream")
        .send()
        .await
        .expect("an answer")
        .status()
        != 200
    {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the place is not given back"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.stop().await;
}
