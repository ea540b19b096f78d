//! A shop of many processes that talk over NATS, any of which may be killed, frozen or put back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventstore::testing::TestDatabase;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};

use crate::broker::nats::{NatsServer, Release};
use crate::broker::published::{Published, Tally};
use crate::checker::{Asked, Reply};
use crate::storm::MENDED;
use crate::town::{Customers, Process, Setup, Town, order, reply, until};

/// No customer waits longer for an answer than the payment provider and a busy machine make it, whatever the broker does.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks into the providers' books.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One process.
pub(super) struct Member {
    pub(super) roles: &'static str,
    pub(super) process: Process,
}

/// With one server for a broker, or whatever else is one.
pub(super) struct Crew<N = NatsServer> {
    pub(super) town: Town,
    /// Without the one that the town has itself, which takes orders.
    pub(super) members: Vec<Member>,
    pub(super) nats: N,
    /// What every process is given beside its roles.
    shop: Vec<String>,
    pub(super) database: TestDatabase,
    to_log: String,
    to_broker: String,
}

impl Crew {
    /// One that takes orders, and nobody else yet.
    pub(super) async fn open(nats: NatsServer, setup: Setup) -> Self {
        let database = TestDatabase::create();
        let (to_log, to_broker) = (database.url(), nats.url());
        Self::behind(nats, database, to_log, to_broker, setup).await
    }

    /// The same with a broker of this release.
    pub(super) async fn with_nats(release: Release, setup: Setup) -> Self {
        Self::open(NatsServer::start(release), setup).await
    }
}

impl<N> Crew<N> {
    /// The same, whose processes reach log and broker at these addresses.
    pub(super) async fn behind(
        nats: N,
        database: TestDatabase,
        to_log: String,
        to_broker: String,
        setup: Setup,
    ) -> Self {
        let shop = setup.shop.clone();
        let setup = Setup {
            database: Some(to_log.clone()),
            nats: Some(to_broker.clone()),
            ..setup
        };
        let town = Town::open(setup.shop(&["--roles", "api"])).await;
        Self {
            town,
            members: Vec::new(),
            nats,
            shop,
            database,
            to_log,
            to_broker,
        }
    }

    /// A process with these roles, not started.
    pub(super) fn process(&self, roles: &str) -> Process {
        let setup = Setup {
            shop: self.shop.clone(),
            database: Some(self.to_log.clone()),
            nats: Some(self.to_broker.clone()),
            ..Setup::default()
        };
        self.town.another(&setup.shop(&["--roles", roles]))
    }

    /// Whoever is hired from now on is not given this flag and its value.
    pub(super) fn gives_no_longer(&mut self, flag: &str) {
        let at = self.shop.iter().position(|word| word == flag);
        let at = at.expect("it was given");
        self.shop.drain(at..at + 2);
    }

    pub(super) async fn hire(&mut self, roles: &'static str) -> &mut Member {
        let mut process = self.process(roles);
        process.start(&self.town.http).await;
        self.members.push(Member { roles, process });
        self.members.last_mut().expect("just hired")
    }

    /// What the stream of events lacks or has too much of, which is nothing.
    pub(super) async fn published(&self) -> Tally {
        let published = Published::at(self.database.url(), &self.to_broker).await;
        published.is_the_log().await.1
    }

    /// A look at the tables of the log, and what keeps it open.
    pub(super) async fn log(&self) -> (Client, JoinHandle<Result<(), tokio_postgres::Error>>) {
        let connected = tokio_postgres::connect(&self.database.url(), NoTls).await;
        let (log, connection) = connected.expect("connected");
        (log, tokio::spawn(connection))
    }

    /// Everybody who takes orders.
    pub(super) fn doors(&self) -> Vec<Customers> {
        let others = self.members.iter().filter(|member| member.roles == "api");
        let others = others.map(|member| Customers::of(&self.town.http, &member.process.url));
        [self.town.customers.clone()]
            .into_iter()
            .chain(others)
            .collect()
    }
}

/// Who holds each turn now.
pub(super) async fn held(log: &Client) -> BTreeMap<String, String> {
    let held = "SELECT name, owner::text FROM log_leases WHERE expires_at > clock_timestamp()";
    let rows = log.query(held, &[]).await.expect("leases");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Given to a shop that has to take every order: however slow the machine is, no provider counts as away. Nobody is given it who is killed
/// or frozen: others wait for as long as a call may take before they go on with what is in such hands.
pub(super) const NOBODY_IS_AWAY: [&str; 4] =
    ["--provider-timeout", "10s", "--breaker-slow-call", "10s"];

/// Given to a shop whose providers are not to count as away only because the machine is slow.
pub(super) const SLOW_IS_NOT_AWAY: [&str; 2] = ["--breaker-slow-call", "10s"];

/// Vans that do not come while the test runs.
pub(super) fn setup() -> Setup {
    Setup::default()
        .shop(&["--payment-budget", "20s", "--log", "warn"])
        .world(&[
            "--simulated-handover-after",
            "1h",
            "--simulated-delivery-after",
            "1h",
        ])
}

/// One order under a key, at one door after another until there is an answer.
pub(super) async fn ordering(doors: Vec<Customers>, nth: usize, mut door: usize) -> Vec<Reply> {
    let (key, wanted) = (nth.to_string(), order("ok"));
    let first = loop {
        let answer = doors[door % doors.len()].place(&key, &wanted).await;
        match answer {
            Some(answer) if matches!(answer.status, 201 | 202 | 402) => break answer,
            Some(answer) if matches!(answer.status, 409 | 500..) => {}
            Some(answer) => panic!("{answer:?}"),
            None => {}
        }
        // Perhaps another door is open.
        door += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    vec![reply(&first.order(), Asked::Place, &first)]
}

/// Waits until customers, so many of whom order one after another, were answered more often than they can have asked before: at least one
/// order was both asked for and taken since this began.
pub(super) async fn business(answered: &AtomicUsize, customers: usize, within: Duration) {
    let before = answered.load(Ordering::Relaxed);
    until("business goes on", within, async || {
        (answered.load(Ordering::Relaxed) > before + customers).then_some(())
    })
    .await;
}

/// Waits until every customer was told of a parcel. If some never are, what is found still under way tells why.
pub(super) async fn all_told<N>(crew: &Crew<N>, orders: usize) {
    let mut books = Vec::new();
    let deadline = Instant::now() + MENDED;
    loop {
        // Asked for all of its books all the time, the world outside would do nothing else.
        tokio::time::sleep(LOOK_EVERY).await;
        crew.town.read_on(&mut books).await;
        let told = effects(&books, "send").len();
        if told >= orders {
            return;
        }
        if Instant::now() > deadline {
            crew.town.quiesces(Duration::ZERO).await;
            panic!("{told} of {orders} customers were told of a parcel, and nothing is under way");
        }
    }
}

/// Of how many orders the providers did something twice that they do under a key.
pub(super) fn at_most_once(ledger: &[serde_json::Value]) -> usize {
    let keyed = ["charge", "ship", "refund", "hold", "cancel"];
    keyed.map(|op| more_than_once(ledger, op)).iter().sum()
}

/// How many of so many orders lack something that the providers do for each.
pub(super) fn lost(orders: usize, ledger: &[serde_json::Value]) -> usize {
    let lacking = |op| orders.saturating_sub(effects(ledger, op).len());
    ["charge", "ship", "send"]
        .map(lacking)
        .into_iter()
        .max()
        .unwrap_or_default()
}

/// For how many orders something was done more than once.
pub(super) fn more_than_once(ledger: &[serde_json::Value], op: &str) -> usize {
    let effects = effects(ledger, op);
    effects.values().filter(|count| **count > 1).count()
}

/// The sum of a counter over all its labels that contain these words, as a process tells it now; 0 when it does not answer.
pub(super) async fn counted(http: &reqwest::Client, url: &str, name: &str, words: &[&str]) -> f64 {
    sum(&measurements(http, url).await, name, words)
}

/// What a process measures; nothing when it does not answer.
pub(super) async fn measurements(http: &reqwest::Client, url: &str) -> String {
    match http.get(format!("{url}/metrics")).send().await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// The sum of a measurement over all its labels that contain these words.
pub(super) fn sum(measurements: &str, name: &str, words: &[&str]) -> f64 {
    let lines = measurements
        .lines()
        .filter(|line| line.starts_with(name) && words.iter().all(|word| line.contains(word)));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// How many effects of an operation each order had, as the providers' books tell.
pub(super) fn effects<'a>(ledger: &'a [serde_json::Value], op: &str) -> BTreeMap<&'a str, usize> {
    let mut effects = BTreeMap::new();
    for line in ledger {
        if line["op"] == op && line["result"] == "done" {
            *effects
                .entry(line["orderId"].as_str().unwrap_or_default())
                .or_default() += 1;
        }
    }
    effects
}
