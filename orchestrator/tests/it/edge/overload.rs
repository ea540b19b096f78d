//! More than can be done: the surplus is refused at once, the rest is served, and it is over when it is over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use eventstore::{Options, testing};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::child::{bookmarket, complaint, run, without_room};
use super::server::{Answer, Backend, PATIENCE, TestServer, order, order_paid_by};
use super::silent_log::has_ordered;

/// A command whose body does not come, although the server waits for it.
fn without_its_body(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = "POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 100\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("a status line");
    assert_eq!(answer.as_slice(), b"HTTP/1.1 100");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_whose_bodies_do_not_come_keep_nobody_else_from_being_served() {
    let server =
        TestServer::start(Backend::Sqlite, |settings| settings.edge.max_in_flight = 2).await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let waiting = tokio::task::spawn_blocking(move || {
        (0..6)
            .map(|_| without_its_body(&address))
            .collect::<Vec<_>>()
    });
    let waiting = waiting.await.expect("connections");
    server.placed("33").await;
    let cut_off = tokio::task::spawn_blocking(move || {
        let mut stream = waiting.into_iter().next().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let (mut answer, mut more) = (String::new(), [0; 256]);
        while !answer.contains("HTTP/1.1 408") {
            let length = stream.read(&mut more).expect("an answer");
            assert_ne!(length, 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&more[..length]));
        }
    });
    cut_off.await.expect("an answer");
    server.stop().await;
}

/// More pages than any test fills.
const PLENTY: u32 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_surplus_of_commands_is_refused_with_retry_after_and_leaves_reads_alone() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        settings.edge.max_in_flight = 8;
        settings.orders.payment_budget = Duration::from_secs(20);
        settings.guards.breaker_slow_call = Duration::from_secs(10);
    })
    .await;
    // Slow enough that most of the surplus has come before the first places are free again.
    let slow = order_paid_by("33", "slow-2500");
    let posts = (0..80).map(|_| server.post("/orders", &slow));
    let everything = futures_util::future::join_all(posts);
    let reads = async {
        let mut count = 0;
        let until = Instant::now() + Duration::from_millis(250);
        while Instant::now() < until {
            assert_eq!(server.get("/readyz").await.status, 200);
            assert_eq!(server.get("/metrics").await.status, 200);
            count += 1;
        }
        count
    };
    let (answers, reads) = tokio::join!(everything, reads);
    let served = answers.iter().filter(|answer| answer.status == 201).count();
    let refused: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    assert_eq!(served + refused.len(), 80);
    assert!(
        served >= 8 && refused.len() >= 40,
        "{served} served, {} refused",
        refused.len()
    );
    for answer in &refused {
        answer.is_problem("overloaded", 503);
        assert!(answer.header("retry-after").is_some());
    }
    assert!(reads > 0);
    assert_eq!(
        server.post("/orders", &order("33")).await.status,
        201,
        "recovered at once"
    );
    server
        .eventually("/orders?size=500", |list| {
            list["page"]["count"] == served + 1
        })
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_free_its_place_before_its_command_is_done() {
    let server =
        TestServer::start(Backend::Sqlite, |settings| settings.edge.max_in_flight = 1).await;
    let slow = order_paid_by("33", "slow-2800");
    let request = server.request(reqwest::Method::POST, "/orders");
    // The client hangs up as soon as its command is under way.
    tokio::select! {
        answer = request.json(&slow).send() => panic!("answered already: {answer:?}"),
        _ = server.eventually("/events", has_ordered) => {}
    }
    server
        .post("/orders", &order("33"))
        .await
        .is_problem("overloaded", 503);
    let deadline = Instant::now() + PATIENCE;
    while server.post("/orders", &order("33")).await.status != 201 {
        assert!(Instant::now() < deadline, "the place is never free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}

/// Orders until the store has no room left, and checks how it says so; the orders that it has taken.
async fn fill(server: &TestServer) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let refused = loop {
        let answer = server.post("/orders", &order("33")).await;
        match answer.status {
            201 | 202 => {
                acknowledged.push(answer.body()["orderId"].as_str().expect("an id").to_owned())
            }
            // It was stored, its payment could not be written down any more: it must not be lost either.
            409 => {
                let problem = answer.is_problem("order-in-doubt", 409);
                acknowledged.push(problem["orderId"].as_str().expect("an id").to_owned());
            }
            _ => break answer,
        }
        assert!(acknowledged.len() < 10_000, "it never fills");
    };
    refused.is_problem("store-unavailable", 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        server.get("/livez").await.status,
        200,
        "a full disk is no reason to be restarted"
    );
    for id in &acknowledged {
        assert_eq!(server.get(&format!("/orders/{id}")).await.status, 200);
    }
    acknowledged
}

async fn all_ship(server: &TestServer, orders: &[String]) {
    for id in orders {
        server
            .eventually(&format!("/orders/{id}"), |order| {
                order["status"] == "Shipped"
            })
            .await;
    }
}

/// A log that has room for a few dozen orders.
fn small() -> Options {
    Options {
        max_page_count: Some(150),
        ..Options::default()
    }
}

/// The log's head is held by somebody else, so that nobody learns what becomes of an append.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_may_be_recorded_is_in_doubt_for_those_without_a_key() {
    let impatient = Options {
        append_deadline: Duration::from_millis(300),
        ..Options::default()
    };
    let server = TestServer::start_with(Backend::Postgres, impatient, |_| {}).await;
    let message =
        json!({"orderId": "1", "customerId": "33", "status": "Shipped", "message": "on its way"});
    let asking = async || {
        let doubtful = server.post("/kakaos", &message).await;
        let problem = doubtful.is_problem("message-in-doubt", 409);
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains("/kakaos/"), "{detail}");
        // Whoever has a key is told to send the same again.
        let keyed = server.request(reqwest::Method::POST, "/kakaos");
        let keyed = keyed.header("idempotency-key", "k").json(&message);
        let keyed = Answer::of(keyed.send().await.expect("an answer")).await;
        keyed.is_problem("store-unavailable", 503);
    };
    server
        .while_held("SELECT FROM log_head FOR UPDATE", asking)
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_orders_until_there_is_room_and_loses_none_that_it_acknowledged() {
    let server = TestServer::start_with(Backend::Sqlite, small(), |_| {}).await;
    let acknowledged = fill(&server).await;
    server
        .post("/orders", &order("33"))
        .await
        .is_problem("store-unavailable", 503);
    testing::limit_pages(&server.edge().store, PLENTY).await;
    // The same server takes orders again, and finishes what it could not write down.
    assert_eq!(server.post("/orders", &order("33")).await.status, 201);
    all_ship(&server, &acknowledged).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_that_is_restarted_with_room_loses_no_order_that_it_acknowledged() {
    let server = TestServer::start_with(Backend::Sqlite, small(), |settings| {
        // What the sagas have in their hands cannot be written down, and is waited for to the last.
        settings.edge.shutdown_grace = Duration::from_secs(3);
    })
    .await;
    let acknowledged = fill(&server).await;
    let halted = server.halt().await;
    let server = halted
        .start(|settings| settings.edge.shutdown_grace = PATIENCE)
        .await;
    all_ship(&server, &acknowledged).await;
    assert_eq!(server.post("/orders", &order("33")).await.status, 201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_views_stand_still_until_there_is_room_while_orders_are_taken() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let before = server.placed("33").await;
    server
        .eventually(&format!("/mypages/{before}"), |row| {
            row["status"] == "Shipped"
        })
        .await;
    let views = &server.edge().projections;
    // Fewer pages than there are: not one more is to be had.
    projections::testing::limit_pages(views, 1).await;
    let mut orders = vec![before];
    let stuck = |view: &Value| {
        let (state, reason) = (&view["projection"]["state"], &view["projection"]["reason"]);
        state == "retrying" && reason.as_str().is_some_and(|why| why.contains("full"))
    };
    // Free pages are used up first.
    loop {
        let view = server.get("/projections/customer").await.body();
        if stuck(&view) {
            break;
        }
        orders.push(server.placed("33").await);
        assert!(orders.len() < 1_000, "they never fill: {view}");
    }
    let late = server.post("/orders", &order("33")).await;
    assert_eq!(late.status, 201, "{}", late.text());
    let token = late
        .header("consistency-token")
        .expect("a token")
        .to_owned();
    let late = late.body()["orderId"].as_str().expect("an id").to_owned();
    let row = server
        .request(reqwest::Method::GET, &format!("/mypages/{late}"))
        .header("Consistency-Token", token)
        .header("Prefer", "wait=0");
    let behind = Answer::of(row.send().await.expect("an answer")).await;
    behind.is_problem("view-behind", 503);
    orders.push(late);
    all_ship(&server, &orders).await;

    projections::testing::limit_pages(views, PLENTY).await;
    for id in &orders {
        server
            .eventually(&format!("/mypages/{id}"), |row| row["status"] == "Shipped")
            .await;
    }
    server.stop().await;
}

#[test]
fn a_server_that_finds_no_room_at_start_says_so_in_one_line() {
    for blocks in [1, 64] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut serve = bookmarket(folder.path());
        serve.args(["serve", "--listen", "127.0.0.1:0"]);
        let output = run(without_room(&serve, blocks));
        let complaint = complaint(&output);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(
            complaint.starts_with("error: cannot open the log: "),
            "{complaint}"
        );
    }
}
