//! The shop and the world outside.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Mutex;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::customers::Customers;
use super::process::Process;
use super::{Answer, STUCK, until, until_or};

/// How a town is set up: further arguments of the two commands.
#[derive(Default)]
pub(crate) struct Setup {
    /// Of `serve`.
    pub(crate) shop: Vec<String>,
    /// Of `simulate`.
    pub(crate) world: Vec<String>,
    /// The log in Postgres, by its address; in the shop's own directory where there is none.
    pub(crate) database: Option<String>,
    /// The broker between the shop's processes, by its address; none where there is none.
    pub(crate) nats: Option<String>,
    /// The release that the shop is begun with; this build where none is named.
    pub(crate) release: Option<PathBuf>,
}

impl Setup {
    /// Vans that come only when the carrier is told to have one, and a customer who does not wait long.
    pub(crate) fn patient() -> Self {
        Self::default()
            .shop(&["--payment-budget", "2s", "--provider-timeout", "1s"])
            .world(&[
                "--simulated-handover-after",
                "1h",
                "--simulated-delivery-after",
                "1h",
            ])
    }

    /// With further arguments of `serve`, or others than before.
    pub(crate) fn shop(mut self, arguments: &[&str]) -> Self {
        add(&mut self.shop, arguments);
        self
    }

    /// With further arguments of `simulate`.
    pub(crate) fn world(mut self, arguments: &[&str]) -> Self {
        add(&mut self.world, arguments);
        self
    }
}

/// Adds flags with their values; a flag may be given once.
fn add(known: &mut Vec<String>, arguments: &[&str]) {
    for pair in arguments.chunks(2) {
        if let Some(at) = known.iter().position(|flag| flag == pair[0]) {
            known.drain(at..at + 2);
        }
        known.extend(pair.iter().map(ToString::to_string));
    }
}

/// A shop, its providers, and what its customers were told.
pub(crate) struct Town {
    pub(crate) http: Client,
    pub(crate) customers: Customers,
    pub(crate) shop: Process,
    pub(crate) world: Process,
    pub(crate) folder: TempDir,
}

impl Deref for Town {
    type Target = Customers;

    fn deref(&self) -> &Customers {
        &self.customers
    }
}

impl Town {
    pub(crate) async fn open(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let shop = folder.path().join("shop");
        let ledger = folder.path().join("ledger.jsonl");
        let http = Client::builder().timeout(STUCK).build().expect("a client");
        let mut world = Process::new(
            folder.path(),
            "simulate",
            &arguments(&[("--ledger", &ledger)], &setup.world),
        );
        let mut shop = Process::new(
            folder.path(),
            "serve",
            &arguments(&[("--data-dir", &shop)], &setup.shop),
        )
        .argument("--simulator-url", &world.url);
        world = world.argument("--webhook-url", &shop.url);
        if let Some(database) = &setup.database {
            shop = shop.with("DATABASE_URL", database);
        }
        if let Some(nats) = &setup.nats {
            shop = shop.with("NATS_URL", nats);
        }
        if let Some(binary) = &setup.release {
            shop = shop.of(binary);
        }
        world.start(&http).await;
        shop.start(&http).await;
        let customers = Customers::of(&http, &shop.url);
        Self {
            http,
            customers,
            shop,
            world,
            folder,
        }
    }

    /// Another shop on the same log, for logs that several may write.
    pub(crate) async fn another_shop(&self, setup: &Setup) -> Process {
        let mut shop = self.another(setup);
        shop.start(&self.http).await;
        shop
    }

    /// The same, not started yet.
    pub(crate) fn another(&self, setup: &Setup) -> Process {
        let data = self.folder.path().join("another");
        let database = setup
            .database
            .as_deref()
            .expect("a log that several may write");
        let shop = Process::new(
            self.folder.path(),
            "serve",
            &arguments(&[("--data-dir", &data)], &setup.shop),
        )
        .argument("--simulator-url", &self.world.url)
        .argument(
            "--master-key-file",
            &self.folder.path().join("shop/master.key").to_string_lossy(),
        )
        .with("DATABASE_URL", database);
        match &setup.nats {
            Some(nats) => shop.with("NATS_URL", nats),
            None => shop,
        }
    }

    /// Kills the shop where it stands and starts it again.
    pub(crate) async fn restart_shop(&mut self) {
        self.shop.kill();
        self.shop.start(&self.http).await;
    }

    /// Kills the providers where they stand and starts them again; their faults are told to them anew.
    pub(crate) async fn restart_world(&mut self, rules: &Value) {
        self.world.kill();
        self.world.start(&self.http).await;
        self.faults(rules).await;
    }

    /// What goes wrong outside from now on.
    pub(crate) async fn faults(&self, rules: &Value) {
        let url = format!("{}/faults", self.world.url);
        let answer = self
            .http
            .put(url)
            .json(&json!({ "seed": 1, "rules": rules }))
            .send()
            .await;
        let answer = Answer::of(answer.expect("an answer")).await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }

    /// What goes wrong outside, and how often it did.
    pub(crate) async fn rules(&self) -> Value {
        let url = format!("{}/faults", self.world.url);
        let answer = self.http.get(url).send().await.expect("an answer");
        Answer::of(answer).await.body
    }

    /// A van comes now, and takes along even what it was to leave.
    pub(crate) async fn scan(&self, order: &str, scan: &str) {
        let scan = json!({ "orderId": order, "scan": scan, "force": true });
        let answer = self
            .http
            .post(format!("{}/scans", self.world.url))
            .json(&scan)
            .send()
            .await;
        assert!(answer.expect("an answer").status().is_success());
    }

    /// The customer is charged once more, without the shop having asked.
    pub(crate) async fn charge_again(&self, order: &str, amount: i64) {
        let charge = json!({ "orderId": order, "amount": amount });
        let answer = self
            .http
            .post(format!("{}/charges", self.world.url))
            .json(&charge)
            .send()
            .await;
        assert!(answer.expect("an answer").status().is_success());
    }

    /// Sends a webhook as its provider would: what the shop cannot write down in time is sent again, word for word.
    pub(crate) async fn hears(&self, webhook: RequestBuilder) -> Answer {
        until("a webhook that is taken in", STUCK, async || {
            let sent = webhook.try_clone().expect("a body that can be sent again");
            let answer = Answer::of(sent.send().await.expect("an answer")).await;
            (answer.status != 503).then_some(answer)
        })
        .await
    }

    /// Nothing goes wrong any more.
    pub(crate) async fn heal(&self) {
        self.faults(&json!([])).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let answer = self
            .http
            .get(format!("{}{path}", self.shop.url))
            .send()
            .await;
        Answer::of(answer.expect("an answer")).await
    }

    /// Waits until the document is as wanted.
    pub(crate) async fn eventually(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let last = Mutex::new(Value::Null);
        let wanted = until_or(
            STUCK,
            || format!("{path} is still {}", last.lock().unwrap()),
            async || {
                let found = self.get(path).await.body;
                let wanted = wanted(&found);
                *last.lock().unwrap() = found.clone();
                wanted.then_some(found)
            },
        );
        wanted.await
    }

    /// Waits until an order is called so.
    pub(crate) async fn becomes(&self, order: &str, status: &str) -> Value {
        self.eventually(&format!("/orders/{order}"), |order| {
            order["status"] == status
        })
        .await
    }

    /// Waits until a saga is called so.
    pub(crate) async fn saga_is(&self, order: &str, status: &str) -> Value {
        self.eventually(&format!("/sagas/{order}"), |saga| saga["status"] == status)
            .await
    }

    /// The domain events of an order, in the order of the log.
    pub(crate) async fn story(&self, order: &str) -> Vec<String> {
        let page = self.get(&format!("/orders/{order}/events")).await.body;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let domain = events.iter().filter(|event| {
            !event["stream"]
                .as_str()
                .is_some_and(|it| it.starts_with("saga-"))
        });
        domain
            .map(|event| event["type"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// What the providers did about an order, messages aside: `op` of every effect, in sequence.
    pub(crate) async fn effects(&self, order: &str) -> Vec<String> {
        let ledger = self.ledger().await;
        let own = ledger
            .iter()
            .filter(|line| line["orderId"] == order && line["port"] != "kakao");
        let done = own.filter(|line| line["result"] == "done");
        done.map(|line| line["op"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The providers' own books.
    pub(crate) async fn ledger(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        self.read_on(&mut lines).await;
        lines
    }

    /// The same, for those who have read some of it before.
    pub(crate) async fn read_on(&self, lines: &mut Vec<Value>) {
        let mut after = lines
            .last()
            .and_then(|line| line["seq"].as_i64())
            .unwrap_or(0);
        loop {
            let url = format!("{}/ledger?after={after}&limit=1000", self.world.url);
            let page = Answer::of(self.http.get(url).send().await.expect("an answer")).await;
            let more = page.lines();
            match more.last() {
                Some(last) => after = last["seq"].as_i64().expect("a sequence"),
                None => return,
            }
            lines.extend(more);
        }
    }
}

fn arguments(places: &[(&str, &PathBuf)], further: &[String]) -> Vec<String> {
    let places = places
        .iter()
        .flat_map(|(flag, place)| [(*flag).to_owned(), place.to_string_lossy().into_owned()]);
    places.chain(further.iter().cloned()).collect()
}
