//! What a process does between SIGTERM and its end, as its clients see it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventstore::testing::TestDatabase;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::crew::counted;
use crate::town::{Customers, Process, STUCK, Setup, Town, order, until};

/// Serving as before, but for `/readyz`.
const DRAIN_DELAY: Duration = Duration::from_secs(2);

/// All of it.
const GRACE: Duration = Duration::from_secs(8);

/// The same where it is not to be enough. A fifth of it is left for those who have to be told so.
const SHORT_GRACE: Duration = Duration::from_secs(5);

/// What a busy machine may add to a time that is over: starting to end, and being seen to have ended.
const SLACK: Duration = Duration::from_secs(2);

/// A connection of one's own; nothing where nobody takes it.
async fn connect(process: &Process) -> Option<TcpStream> {
    let address = process.url.strip_prefix("http://").expect("an address");
    TcpStream::connect(address).await.ok()
}

/// Status line and headers of an answer, in small letters; nothing where nobody takes the connection.
async fn ask(process: &Process, path: &str) -> Option<String> {
    ask_on(&mut connect(process).await?, "GET", path).await
}

/// The same on a connection that there is. Only what has no body leaves it fit for the next question.
async fn ask_on(stream: &mut TcpStream, method: &str, path: &str) -> Option<String> {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: shop\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await.ok()? {
            0 => return None,
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    let text = String::from_utf8(answer).ok()?.to_lowercase();
    text.split_once("\r\n\r\n").map(|(head, _)| head.to_owned())
}

/// The first order of a town, whose payment takes so long, on its way at this door.
pub(super) async fn slow_order(
    town: &Town,
    door: &Customers,
    token: &str,
) -> tokio::task::JoinHandle<u16> {
    let (customers, mut wanted) = (door.clone(), order("ok"));
    wanted["payment"]["token"] = token.into();
    let ordering = tokio::spawn(async move {
        let answer = customers.place("slow", &wanted).await;
        answer.map_or(0, |answer| answer.status)
    });
    until("an order in flight", STUCK, async || {
        let page = town.get("/events").await.body;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        events
            .iter()
            .any(|event| event["type"] == "Ordered")
            .then_some(())
    })
    .await;
    ordering
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_stop_says_so_serves_on_finishes_and_is_gone_in_time() {
    let setup = Setup::patient().shop(&[
        "--drain-delay",
        "2s",
        "--shutdown-grace",
        "8s",
        "--payment-budget",
        "20s",
        "--provider-timeout",
        "10s",
    ]);
    let mut town = Town::open(setup).await;
    let before = until("a process that is ready", STUCK, async || {
        let head = ask(&town.shop, "/readyz").await?;
        head.starts_with("http/1.1 200").then_some(head)
    })
    .await;
    assert!(!before.contains("connection: close"), "{before}");
    let ordering = slow_order(&town, &town.customers, "slow-4000").await;
    let told = Instant::now();
    town.shop.signal(Signal::TERM);
    // Not ready, and everything is served as before, but on connections that end.
    let head = until("a process that is not ready", DRAIN_DELAY, async || {
        let head = ask(&town.shop, "/readyz").await?;
        head.starts_with("http/1.1 503").then_some(head)
    })
    .await;
    assert!(head.contains("connection: close"), "{head}");
    let served = ask(&town.shop, "/orders").await.expect("an answer");
    assert!(served.starts_with("http/1.1 200"), "{served}");
    assert!(served.contains("connection: close"), "{served}");
    // Then nobody gets in any more, while the order is still being paid.
    until("a closed door", GRACE, async || {
        ask(&town.shop, "/livez").await.is_none().then_some(())
    })
    .await;
    assert!(told.elapsed() >= DRAIN_DELAY, "{:?}", told.elapsed());
    assert!(
        !ordering.is_finished(),
        "it was to take longer than the delay"
    );
    assert_eq!(ordering.await.expect("no panic"), 201);
    assert_eq!(town.shop.ended().await, Some(0), "{}", town.shop.lines());
    assert!(told.elapsed() < GRACE, "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_work_takes_too_long_is_gone_in_time_and_another_finishes_it() {
    let setup = Setup::patient().shop(&[
        "--shutdown-grace",
        "5s",
        "--payment-budget",
        "20s",
        "--provider-timeout",
        "10s",
    ]);
    let mut town = Town::open(setup).await;
    let ordering = slow_order(&town, &town.customers, "slow-8000").await;
    let told = Instant::now();
    town.shop.signal(Signal::TERM);
    let code = town.shop.ended().await;
    assert!(told.elapsed() < SHORT_GRACE + SLACK, "{:?}", told.elapsed());
    assert_eq!(code, Some(1), "{}", town.shop.lines());
    assert!(
        town.shop
            .lines()
            .contains("not everything in flight was finished")
    );
    // Whoever waited is told to ask again.
    assert_eq!(ordering.await.expect("no panic"), 409);
    town.restart_shop().await;
    // The charge that nobody waited for is found and kept; the book ships once.
    let page = town.get("/events").await.body;
    let events = page["events"].as_array().cloned().unwrap_or_default();
    let placed = events.iter().find(|event| event["type"] == "Ordered");
    let id = placed.expect("an order")["data"]["orderId"]
        .as_str()
        .expect("an id")
        .to_owned();
    town.becomes(&id, "Shipped").await;
    assert_eq!(town.effects(&id).await, ["charge", "ship"]);
    town.close(Vec::new()).await;
}

/// In so short a rest of the grace a busy machine may leave more behind than it should, but not every time.
const TRIES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nobody_asks_anything_keeps_no_process_from_ending_in_order() {
    // What is left of the grace is no longer than what last requests may take where there is time.
    let setup = Setup::patient().shop(&["--drain-delay", "2s", "--shutdown-grace", "3s"]);
    let mut town = Town::open(setup).await;
    let mut left = String::new();
    for _ in 0..TRIES {
        left = left_beside_an_idle_connection(&mut town).await;
        // Leases that were not given back in time were not kept by a connection.
        let mut kept = ["connections", "the HTTP server"].iter();
        if !kept.any(|what| left.contains(what)) {
            return;
        }
        town.shop.start(&town.http).await;
    }
    panic!("it left {left}, {TRIES} times");
}

/// What a process says that it leaves unfinished when it is told to stop; nothing where it ends in order.
async fn left_beside_an_idle_connection(town: &mut Town) -> String {
    let mut idle = connect(&town.shop).await.expect("a connection");
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: shop\r\n\r\n")
        .await
        .expect("sent");
    // Answered, so that it is known to be kept.
    assert!(idle.read(&mut [0; 1024]).await.expect("an answer") > 0);
    town.shop.signal(Signal::TERM);
    let code = town.shop.ended().await;
    drop(idle);
    if code == Some(0) {
        return String::new();
    }
    let lines = town.shop.lines();
    let last = lines.lines().last().unwrap_or_default();
    let left = last.split_once("not everything in flight was finished: ");
    let (_, left) = left.unwrap_or_else(|| panic!("{code:?}: {lines}"));
    left.to_owned()
}

/// Longer than the rest of a request is waited for.
const SLOW: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_half_a_request_keeps_no_process_from_finishing_what_it_has_in_hand() {
    let setup = Setup::patient().shop(&[
        "--shutdown-grace",
        "8s",
        "--payment-budget",
        "20s",
        "--provider-timeout",
        "10s",
    ]);
    let mut town = Town::open(setup).await;
    let slow = json!([{ "port": "carrier", "op": "ship", "fault": "delay", "rate": 1.0, "delayMs": SLOW.as_millis() }]);
    town.faults(&slow).await;
    let mut half = connect(&town.shop).await.expect("a connection");
    half.write_all(b"GET / HT").await.expect("sent");
    let order = town.paid("slow").await;
    until("a step in hand", STUCK, async || {
        let name = "bookmarket_provider_calls_in_flight{";
        let calls = counted(&town.http, &town.shop.url, name, &["carrier"]).await;
        (calls > 0.0).then_some(())
    })
    .await;
    let told = Instant::now();
    town.shop.signal(Signal::TERM);
    assert_eq!(town.shop.ended().await, Some(0), "{}", town.shop.lines());
    assert!(told.elapsed() < GRACE, "{:?}", told.elapsed());
    // Nobody else was there to write down how the step ended, and the next process would have asked first.
    town.restart_shop().await;
    let story = town.story(&order).await;
    assert!(story.iter().any(|event| event == "Shipped"), "{story:?}");
    assert_eq!(town.effects(&order).await, ["charge", "ship"]);
    drop(half);
    town.heal().await;
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_socket_others_have_tells_who_keeps_a_connection_to_open_another_one() {
    let database = TestDatabase::create();
    let setup = || Setup {
        database: Some(database.url()),
        ..Setup::patient()
    };
    let town = Town::open(setup()).await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("an address"));
    let mut leaving = town.another(&setup()).inheriting(&socket);
    leaving.start(&town.http).await;
    let mut kept = connect(&leaving).await.expect("a connection");
    let head = ask_on(&mut kept, "HEAD", "/livez").await;
    let head = head.expect("an answer");
    assert!(!head.contains("connection: close"), "{head}");
    leaving.signal(Signal::TERM);
    let last = until("an answer that is the last", STUCK, async || {
        let head = ask_on(&mut kept, "HEAD", "/livez").await;
        let head = head.expect("no connection is closed without a word");
        head.contains("connection: close").then_some(head)
    })
    .await;
    assert!(last.starts_with("http/1.1 200"), "{last}");
    assert_eq!(leaving.ended().await, Some(0), "{}", leaving.lines());
    town.close(Vec::new()).await;
}
