//! New processes take the place of old ones, and nobody outside notices.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use eventstore::testing::TestDatabase;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::broker::nats::{NatsServer, Release};
use crate::broker::published::Published;
use crate::checker::{Asked, Reply};
use crate::soak::size;
use crate::storm::judged;
use crate::town::{Customers, Process, Setup, Town, order, reply, until};

/// Between two orders of one customer, so that this machine is busy but not drowned.
const THINK: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Count {
    asked: AtomicUsize,
    failed: AtomicUsize,
    over: AtomicBool,
}

/// Orders again and again, and reads what was ordered.
async fn customer(
    customers: Customers,
    http: reqwest::Client,
    url: String,
    nth: usize,
    count: Arc<Count>,
) -> Vec<Reply> {
    let mut replies = Vec::new();
    for round in 0.. {
        if count.over.load(Ordering::Relaxed) {
            break;
        }
        count.asked.fetch_add(1, Ordering::Relaxed);
        let answer = customers
            .place(&format!("{nth}-{round}"), &order("ok"))
            .await;
        let placed = answer.filter(|answer| answer.status == 201);
        let Some(placed) = placed else {
            count.failed.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        replies.push(reply(&placed.order(), Asked::Place, &placed));
        count.asked.fetch_add(1, Ordering::Relaxed);
        let shown = http
            .get(format!("{url}/orders/{}", placed.order()))
            .send()
            .await;
        if !shown.is_ok_and(|shown| shown.status() == 200) {
            count.failed.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(THINK).await;
    }
    replies
}

/// The new process takes over before the old one is told to go.
async fn replace(old: &mut Process, mut new: Process, http: &reqwest::Client) {
    new.start(http).await;
    old.signal(Signal::TERM);
    let code = old.ended().await;
    assert_eq!(code, Some(0), "{}", old.lines());
    *old = new;
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_every_process_is_replaced_again_and_again() {
    let (clients, rounds) = (size(100), size(5).max(1));
    let (database, nats) = (TestDatabase::create(), NatsServer::start(Release::New));
    let setup = |roles: &str| Setup {
        database: Some(database.url()),
        nats: Some(nats.url()),
        ..Setup::default().shop(&[
            "--roles",
            roles,
            "--drain-delay",
            "1s",
            "--payment-budget",
            "20s",
        ])
    };
    let world = ["--simulated-handover-after", "1h"];
    let mut town = Town::open(setup("api").world(&world)).await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("an address"));
    let api = |town: &Town| town.another(&setup("api")).inheriting(&socket);
    // The town's own process has made the key that all share; from here on every process is one that is replaced.
    town.shop.kill();
    town.shop = api(&town);
    town.shop.start(&town.http).await;
    let mut others = Vec::new();
    for roles in ["worker", "projector", "relay"] {
        others.push((roles, town.another_shop(&setup(roles)).await));
    }
    let (count, mut crowd) = (Arc::<Count>::default(), JoinSet::new());
    for nth in 0..clients {
        let customers = Customers::of(&town.http, &town.shop.url);
        let (http, url) = (town.http.clone(), town.shop.url.clone());
        crowd.spawn(customer(customers, http, url, nth, Arc::clone(&count)));
    }
    for _ in 0..rounds {
        let before = count.asked.load(Ordering::Relaxed);
        until("some business", crate::town::STUCK, async || {
            (count.asked.load(Ordering::Relaxed) > before + clients).then_some(())
        })
        .await;
        let next = api(&town);
        replace(&mut town.shop, next, &town.http).await;
        for (roles, process) in &mut others {
            replace(process, town.another(&setup(roles)), &town.http).await;
        }
    }
    count.over.store(true, Ordering::Relaxed);
    let replies = crowd.join_all().await.concat();
    let (asked, failed) = (
        count.asked.load(Ordering::Relaxed),
        count.failed.load(Ordering::Relaxed),
    );
    let availability = 100.0 * (asked - failed) as f64 / asked as f64;
    let orders = replies.len();
    judged(&town, replies).await;
    let published = Published::at(database.url(), &nats.url()).await;
    let stream = published.is_the_log().await.1;
    println!(
        "figure: rolling-restart rounds={rounds} processes={} clients={clients} requests={asked} orders={orders} failed={failed} \
         availability={availability:.2}% stream-missing={}",
        others.len() + 1,
        stream.missing,
    );
    assert_eq!(failed, 0);
}
