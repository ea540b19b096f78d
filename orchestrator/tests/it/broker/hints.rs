//! Hints between processes: they bring readers up at once, and no harm if they are lost, doubled, late, or lies.

use std::time::Duration;

use eventstore::testing::TestDatabase;
use eventstore::{EventStore, Location, Options, Position};
use orchestrator::bus::connection::Broker;
use orchestrator::bus::hints::{self, SUBJECT};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::nats::{NatsServer, Release};
use super::relay::append;
use super::{PATIENCE, connect, eventually};

/// Nobody looks at the log by itself in this time; only a hint makes a process that does nothing know of events.
const QUIET: Duration = Duration::from_millis(700);

/// Two processes on one log, of which one tells and the other listens.
struct Two {
    teller: EventStore,
    listener: EventStore,
    client: Broker,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
    _nats: NatsServer,
    _database: TestDatabase,
}

impl Two {
    async fn open() -> Two {
        let (nats, database) = (NatsServer::start(Release::New), TestDatabase::create());
        let location = Location::Postgres {
            url: SecretString::from(database.url()),
        };
        EventStore::migrate(&location).await.expect("a schema");
        let open = async || {
            let opened = EventStore::open(&location, Options::default()).await;
            opened.expect("a log")
        };
        let two = Two {
            teller: open().await,
            listener: open().await,
            client: connect(&nats.url()).await,
            stop: CancellationToken::new(),
            running: Vec::new(),
            _nats: nats,
            _database: database,
        };
        eventually("a broker", async || two.client.is_connected()).await;
        two
    }

    async fn talk(&mut self) {
        self.listen().await;
        let own = connect(&self._nats.url()).await;
        eventually("a broker", async || own.is_connected()).await;
        let telling = hints::announce(self.teller.clone(), own, self.stop.clone());
        self.running.push(tokio::spawn(telling));
    }

    /// Returns when hints arrive.
    async fn listen(&mut self) {
        let own = connect(&self._nats.url()).await;
        eventually("a broker", async || own.is_connected()).await;
        let listening = hints::listen(self.listener.clone(), own, self.stop.clone());
        self.running.push(tokio::spawn(listening));
        let mut known = self.listener.watch();
        let before = *known.borrow_and_update();
        append(&self.teller, 1).await;
        eventually("hints arrive", async || {
            self.say("1000000").await;
            *known.borrow() > before
        })
        .await;
    }

    async fn say(&self, text: &str) {
        let said = self
            .client
            .client()
            .publish(SUBJECT, text.to_owned().into());
        said.await.expect("it is sent");
    }

    async fn end(self) {
        self.stop.cancel();
        for running in self.running {
            running.await.expect("no panic");
        }
    }
}

async fn head(store: &EventStore) -> Position {
    store.head().await.expect("a log")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_tells_a_process_that_looks_at_nothing_of_events_elsewhere() {
    let mut two = Two::open().await;
    let mut known = two.listener.watch();
    known.borrow_and_update();
    append(&two.teller, 1).await;
    let untold = timeout(QUIET, known.changed()).await;
    assert!(untold.is_err(), "without a hint nobody tells");
    two.talk().await;
    for _ in 0..20 {
        append(&two.teller, 3).await;
        let reached = head(&two.teller).await;
        let told = known.wait_for(|known| *known >= reached);
        timeout(PATIENCE, told).await.expect("told").expect("a log");
    }
    two.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_that_come_twice_late_or_lie_are_looked_up_and_not_believed() {
    let mut two = Two::open().await;
    two.listen().await;
    append(&two.teller, 5).await;
    let reached = head(&two.teller).await;
    let lies = [
        "1000000",
        "9223372036854775807",
        "9223372036854775808",
        "-1",
        "",
        "soon",
        "\u{0}",
    ];
    for hint in lies.iter().chain(&["3", "1", "3", "3"]) {
        two.say(hint).await;
        two.say(hint).await;
    }
    let mut known = two.listener.watch();
    let told = known.wait_for(|known| *known >= reached);
    timeout(PATIENCE, told).await.expect("told").expect("a log");
    assert_eq!(
        *two.listener.watch().borrow(),
        reached,
        "never what is not there"
    );
    // A reader that was lied to waits as before, and gets what comes.
    let waited = two.listener.wait_past(reached, QUIET).await;
    assert_eq!(waited.expect("a log"), reached);
    append(&two.teller, 1).await;
    two.say("1000000").await;
    let got = two.listener.wait_past(reached, PATIENCE).await;
    assert_eq!(got.expect("a log"), head(&two.teller).await);
    two.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_is_lost_costs_a_reader_a_moment() {
    let two = Two::open().await;
    let before = head(&two.listener).await;
    append(&two.teller, 1).await;
    // Nobody tells, nobody listens.
    let got = two.listener.wait_past(before, PATIENCE).await;
    assert_eq!(got.expect("a log"), head(&two.teller).await);
    two.end().await;
}
