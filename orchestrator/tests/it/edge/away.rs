//! Providers that are away or slow, as customers see it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use orchestrator::config::Settings;
use orchestrator::config::guards::Switch;
use orchestrator::providers::simulator::ledger::Op;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::outside::Outside;
use super::server::{Answer, Backend, PATIENCE, TestServer, order, order_paid_by};
use crate::town::is_done;

/// On a machine that does nothing else no refusal takes longer than this.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Orders that are refused while the provider is away.
const REFUSED: usize = 20;

/// For so long nobody tries whether it is back: longer than it takes to refuse them, however slow the machine is.
const AWAY: Duration = Duration::from_hours(1);

/// The same where it is to be found out that it is back.
const BACK: Duration = Duration::from_secs(1);

/// Clients that ask for other things meanwhile.
const BYSTANDERS: usize = 4;

/// What they ask for.
const PAGES: [&str; 4] = ["/orders", "/mypages", "/sagas", "/metrics"];

/// A breaker that opens after five calls; customers who wait no longer than a payment takes on a busy machine.
fn touchy(settings: &mut Settings) {
    settings.guards.breaker_min_calls = 5;
    settings.guards.breaker_probes = 2;
    settings.guards.breaker_open_for = AWAY;
    settings.orders.payment_budget = Duration::from_secs(1);
    // Nothing falls due while orders are refused.
    settings.orders.payment_deadline = Duration::from_mins(10);
    settings.orders.cancel_budget = Duration::from_millis(100);
}

/// As many orders as it takes to find out that the provider cannot be reached. The last of them may be refused already.
async fn find_out(server: &TestServer) {
    let answers = five(server, "down").await;
    assert!(
        answers.iter().all(|answer| matches!(answer, 202 | 503)),
        "{answers:?}"
    );
}

/// What five orders at once are answered.
async fn five(server: &TestServer, word: &str) -> Vec<u16> {
    let order = order_paid_by("33", word);
    let posts = (0..5).map(|_| server.place(&order));
    let answers = futures_util::future::join_all(posts).await;
    answers.iter().map(|answer| answer.status).collect()
}

/// What five good orders at once are answered.
async fn five_good(server: &TestServer) -> Vec<Answer> {
    let wanted: Vec<_> = (0..5).map(|_| fresh()).collect();
    let posts = wanted.iter().map(|order| server.place(order));
    futures_util::future::join_all(posts).await
}

/// A touchy shop in front of these providers, which leaves them alone for so long and has customers who wait for so long.
async fn in_front_of(outside: &Outside, open_for: Duration, budget: Duration) -> TestServer {
    TestServer::start(Backend::Sqlite, |settings| {
        touchy(settings);
        settings.guards.breaker_open_for = open_for;
        settings.providers.simulator_url = Some(outside.url());
        settings.orders.payment_budget = budget;
    })
    .await
}

/// A good order with a payment of its own, as a payment provider wants it.
fn fresh() -> Value {
    order_paid_by("33", &Uuid::now_v7().to_string())
}

async fn breaker(server: &TestServer, provider: &str) -> Value {
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 200, "an open breaker makes nobody unready");
    breaker_in(&ready.body(), provider)
}

/// The same of a report that has been read.
fn breaker_in(ready: &Value, provider: &str) -> Value {
    let mut providers = ready["providers"].as_array().into_iter().flatten();
    let found = providers.find(|report| report["provider"] == provider);
    found.map_or(Value::Null, |report| report["breaker"].clone())
}

/// Waits until the payment provider is left alone, be it tried again by now: customers may be answered before the last call is counted.
async fn is_left_alone(server: &TestServer) {
    let away = |ready: &Value| {
        let breaker = breaker_in(ready, "payment");
        breaker.as_str().is_some_and(|it| it != "closed")
    };
    server.eventually("/readyz", away).await;
}

fn ledger(server: &TestServer) -> String {
    let file = server
        .folder
        .path()
        .join("data")
        .join(orchestrator::providers::simulator::ledger::FILE_NAME);
    std::fs::read_to_string(file).expect("a ledger")
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_payment_provider_is_away_orders_are_refused_at_once_and_nothing_else_is() {
    let server = TestServer::start(Backend::Sqlite, touchy).await;
    let paid_before = server.placed("33").await;
    server
        .eventually(&format!("/sagas/{paid_before}"), |saga| {
            is_done(saga, "notify")
        })
        .await;
    find_out(&server).await;
    is_left_alone(&server).await;
    assert_eq!(breaker(&server, "payment").await, "open");
    assert_eq!(breaker(&server, "carrier").await, "closed");
    let before = (
        server.get("/events?limit=1000").await.body(),
        ledger(&server),
    );

    refused_at_once(&server, async |page| server.get(page).await).await;
    let open = "bookmarket_provider_breaker_open{provider=\"payment\"} 1";
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains(open), "{metrics}");
    let after = (
        server.get("/events?limit=1000").await.body(),
        ledger(&server),
    );
    assert_eq!(
        before, after,
        "nothing is stored, nothing is charged, nothing is tried"
    );

    let message =
        json!({"orderId": "1", "customerId": "33", "status": "Direct", "message": "Hello"});
    // The same once more, with bystanders who have something to be sent.
    refused_at_once(&server, async |_| server.post("/kakaos", &message).await).await;
    // Whether money can go back is found out by itself.
    let canceled = server.delete(&format!("/orders/{paid_before}")).await;
    assert!(matches!(canceled.status, 200 | 202), "{canceled:?}");
    let is_canceled = |order: &Value| order["status"] == "Canceled";
    server
        .eventually(&format!("/orders/{paid_before}"), is_canceled)
        .await;
    assert_eq!(breaker(&server, "payment").await, "open");
    server.stop().await;
}

/// Orders, all of which are refused, while others ask for something else and all get it.
#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn refused_at_once(server: &TestServer, other: impl AsyncFn(&'static str) -> Answer) {
    let over = AtomicBool::new(false);
    let bystander = async |nth: usize| {
        let (mut asked, mut failed) = (0, Vec::new());
        while asked == 0 || !over.load(Ordering::Relaxed) {
            let answer = other(PAGES[(nth + asked) % PAGES.len()]).await;
            if !matches!(answer.status, 200 | 201) {
                failed.push(answer.text());
            }
            asked += 1;
            // A customer, not a siege.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (asked, failed)
    };
    let bystanders = futures_util::future::join_all((0..BYSTANDERS).map(bystander));
    let refusals = async {
        let took = refusals(server).await;
        over.store(true, Ordering::Relaxed);
        took
    };
    let (mut took, asked) = futures_util::future::join(refusals, bystanders).await;
    took.sort();
    let (asked, failed) = asked.iter().fold((0, 0), |(asked, failed), more| {
        (asked + more.0, failed + more.1.len())
    });
    println!(
        "figure: provider-away refused={} median={:.1}ms slowest={:.1}ms other-requests={asked} other-failed={failed}",
        took.len(),
        took[REFUSED / 2].as_secs_f64() * 1e3,
        took[REFUSED - 1].as_secs_f64() * 1e3,
    );
    assert_eq!(failed, 0);
    if crate::soak::is_on() {
        assert!(took[REFUSED - 1] < AT_ONCE, "{took:?}");
    }
}

/// How long each refusal took.
async fn refusals(server: &TestServer) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..REFUSED {
        let asked = Instant::now();
        let answer = server.place(&order("33")).await;
        took.push(asked.elapsed());
        answer.is_problem("payment-unavailable", 503);
        let seconds = answer
            .header("retry-after")
            .and_then(|it| it.parse::<u64>().ok());
        assert!(
            seconds.is_some_and(|it| (1..=AWAY.as_secs()).contains(&it)),
            "{seconds:?}"
        );
    }
    took
}

async fn is_measured(server: &TestServer) {
    let metrics = server.get("/metrics").await.text();
    for line in [
        "bookmarket_provider_breaker_open{provider=\"payment\"} 0",
        "bookmarket_provider_breaker_moves_total{provider=\"payment\",to=\"open\"}",
        "bookmarket_provider_calls_total{provider=\"payment\",outcome=\"failed\"}",
        "bookmarket_provider_calls_in_flight{provider=\"kakao\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

/// Orders until the breaker has seen enough to close: which call is a probe and which one waits is nobody's promise.
async fn closes(server: &TestServer) {
    let deadline = Instant::now() + PATIENCE;
    while breaker(server, "payment").await != "closed" {
        assert!(Instant::now() < deadline, "it never closes");
        paid_again(server).await;
    }
}

/// Orders until one is paid, as a customer does who is told to come again.
async fn paid_again(server: &TestServer) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer: Answer = server.place(&fresh()).await;
        if answer.status == 201 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "it never closes: {}",
            answer.text()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_breaker_every_order_is_taken_however_long_the_provider_is_away() {
    let server = TestServer::start(Backend::Sqlite, |settings| {
        touchy(settings);
        settings.guards.breaker = Switch::Off;
        settings.orders.payment_budget = Duration::from_millis(100);
    })
    .await;
    for _ in 0..2 {
        assert_eq!(five(&server, "down").await, [202; 5]);
    }
    assert_eq!(breaker(&server, "payment").await, "closed");
    server.stop().await;
}

/// What the log says, but for looks after what is waited for.
async fn moved(server: &TestServer) -> Vec<Value> {
    let page = server.get("/events?limit=1000").await.body();
    let mut events = page["events"].as_array().cloned().expect("events");
    events.retain(|event| event["type"] != "Polled");
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_payment_provider_is_left_alone_although_it_takes_the_money() {
    let outside = Outside::start(Vec::new()).await;
    let budget = Duration::from_secs(5);
    let server = in_front_of(&outside, AWAY, budget).await;
    // Just above what is slow where nobody has said otherwise: 610 ms.
    let slow = json!([{ "port": "payment", "op": "charge", "fault": "delay", "delayMs": 650 }]);
    outside.faults(slow).await;
    for answer in five_good(&server).await {
        assert_eq!(answer.status, 201, "{}", answer.text());
        let order = answer.body()["orderId"].as_str().expect("an id").to_owned();
        let told = |saga: &Value| is_done(saga, "notify");
        server.eventually(&format!("/sagas/{order}"), told).await;
    }
    is_left_alone(&server).await;
    let before = (moved(&server).await, outside.done(Op::Charge));
    assert_eq!(before.1.len(), 5, "it took the money of all of them");

    refused_at_once(&server, async |page| server.get(page).await).await;
    let after = (moved(&server).await, outside.done(Op::Charge));
    assert_eq!(before, after, "nothing is stored, nothing is charged");
    server.stop().await;

    // Another one soon tries whether it is fast again.
    let server = in_front_of(&outside, BACK, budget).await;
    five_good(&server).await;
    is_left_alone(&server).await;
    outside.faults(json!([])).await;
    paid_again(&server).await;
    closes(&server).await;
    server.stop().await;
    outside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_adapters_find_out_that_a_provider_is_away_and_that_it_is_back() {
    let outside = Outside::start(Vec::new()).await;
    outside.be_away(Some("payment")).await;
    let budget = Duration::from_secs(1);
    let server = in_front_of(&outside, AWAY, budget).await;
    five_good(&server).await;
    is_left_alone(&server).await;
    refused_at_once(&server, async |page| server.get(page).await).await;
    server.stop().await;

    // Another one soon tries whether it is back.
    let server = in_front_of(&outside, BACK, budget).await;
    let answers = five_good(&server).await;
    let waiting = answers.iter().filter(|answer| answer.status == 202).count();
    assert!(waiting > 0, "somebody has to find out");
    is_left_alone(&server).await;
    assert!(outside.done(Op::Charge).is_empty());
    outside.be_away(None).await;
    paid_again(&server).await;
    closes(&server).await;
    is_measured(&server).await;
    let all_shipped = |list: &Value| {
        let orders = list["_embedded"]["orders"].as_array();
        orders.is_some_and(|orders| orders.iter().all(|order| order["status"] == "Shipped"))
    };
    let list = server.eventually("/orders?size=100", all_shipped).await;
    let taken = list["page"]["count"].as_u64().expect("a count");
    assert!(
        taken > waiting as u64,
        "those that waited and the one after them"
    );
    let charges = outside.done(Op::Charge);
    let orders: BTreeSet<_> = charges.iter().map(|line| &line.order_id).collect();
    assert_eq!(orders.len() as u64, taken, "each that was taken is charged");
    assert_eq!(charges.len() as u64, taken, "once");
    server.stop().await;
    outside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_or_a_dealer_that_is_away_refuses_no_order() {
    for port in ["carrier", "kakao"] {
        let outside = Outside::start(Vec::new()).await;
        let server = TestServer::start(Backend::Sqlite, |settings| {
            settings.guards.breaker_min_calls = 5;
            settings.guards.breaker_open_for = Duration::from_secs(1);
            settings.providers.simulator_url = Some(outside.url());
        })
        .await;
        outside.be_away(Some(port)).await;
        let mut ids = Vec::new();
        for _ in 0..10 {
            let answer = server.place(&fresh()).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            ids.push(answer.body()["orderId"].as_str().expect("an id").to_owned());
        }
        if port == "kakao" {
            let shipped =
                |saga: &Value| saga["remaining"] == json!(["handover", "track", "notify"]);
            server
                .eventually(&format!("/sagas/{}", ids[0]), shipped)
                .await;
        }
        outside.be_away(None).await;
        server
            .eventually("/orders?status=Shipped", |list| list["page"]["count"] == 10)
            .await;
        let deadline = Instant::now() + PATIENCE;
        while outside.done(Op::Send).len() < 10 {
            assert!(Instant::now() < deadline, "messages are missing");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(outside.done(Op::Ship).len(), 10, "one parcel each");
        assert_eq!(outside.done(Op::Send).len(), 10, "one message each");
        server.stop().await;
        outside.stop().await;
    }
}
