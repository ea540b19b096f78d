//! A shop whose views are at places of their own.

use std::process::Command;

use eventstore::testing::TestDatabase;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use tokio_postgres::NoTls;

use super::child::{Serving, bookmarket, complaint, last_line, run, with};
use super::server::{Answer, PATIENCE, order};
use super::silent_log::behind_a_proxy;
use crate::broker::proxy::Weather;

/// The log in one database, customers in another one, messages in a directory.
struct Scattered {
    folder: TempDir,
    log: TestDatabase,
    customers: TestDatabase,
}

impl Scattered {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            log: TestDatabase::create(),
            customers: TestDatabase::create(),
        }
    }

    fn command(&self) -> Command {
        let mut command = bookmarket(&self.folder.path().join("data"));
        let messages = self.folder.path().join("messages");
        // A URL with a password in it may as well come by a file.
        let file = self.folder.path().join("customers.url");
        std::fs::write(&file, self.customers.url()).expect("a file");
        command
            .env("DATABASE_URL", self.log.url())
            .env("BOOKMARKET_CUSTOMER_VIEW_URL_FILE", file)
            .env(
                "BOOKMARKET_MESSAGE_VIEW_URL",
                format!("sqlite://{}", messages.display()),
            );
        command
    }

    /// The last that a command prints as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let command = with(self.command(), &["--output", "json"]);
        let output = run(with(command, arguments));
        assert!(output.status.success(), "{}", complaint(&output));
        last_line(&output)
    }
}

/// Rows in all tables that a database has of a view, whichever of them is live.
async fn rows_of(view: &str, database: &TestDatabase) -> i64 {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .expect("connected");
    let driver = tokio::spawn(connection);
    let tables =
        "SELECT table_name::text FROM information_schema.tables WHERE table_name::text ~ $1";
    let named = format!("^view_{view}_[0-9]+$");
    let mut rows = 0;
    for table in client.query(tables, &[&named]).await.expect("tables") {
        let count = format!("SELECT count(*) FROM {}", table.get::<_, String>(0));
        let counted = client.query_one(&count, &[]).await.expect("rows");
        rows += counted.get::<_, i64>(0);
    }
    driver.abort();
    rows
}

async fn get(serving: &Serving, path: &str) -> Value {
    let answer = reqwest::get(format!("{}{path}", serving.url)).await;
    Answer::of(answer.expect("an answer")).await.body()
}

/// Places an order and gives the token that its answer carries.
async fn place(serving: &Serving) -> String {
    let request = reqwest::Client::new().post(format!("{}/orders", serving.url));
    let answer = Answer::of(request.json(&order("33")).send().await.expect("an answer")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let token = answer.header("consistency-token").expect("a token");
    token.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn views_at_places_of_their_own_answer_as_one_shop() {
    let shop = Scattered::new();
    let migrated = shop.json(&["migrate"]);
    for tables in ["log", "views", "customer view", "message view"] {
        assert!(migrated[tables]["version"].is_i64(), "{tables}: {migrated}");
    }
    let mut serving = Serving::start(shop.command());
    let mut token = String::new();
    for _ in 0..3 {
        token = place(&serving).await;
    }
    let orders = get(&serving, &format!("/orders?atLeast={token}")).await;
    assert_eq!(orders["page"]["count"], 3);
    let sent = |list: &Value| list["page"]["count"] == 3;
    let deadline = Instant::now() + PATIENCE;
    while !sent(&get(&serving, "/kakaomsgs?state=sent").await) {
        assert!(Instant::now() < deadline, "nothing is sent");
    }
    let found = shop.json(&["doctor"]);
    let good = |check: &str| {
        let checks = found.as_array().expect("findings");
        checks
            .iter()
            .any(|it| it["check"] == check && it["verdict"] == "good")
    };
    for check in ["views", "customer view", "message view"] {
        assert!(good(check), "{check}: {found}");
    }
    // The server holds the directory, so it is asked; once it has stopped, the command does it alone.
    let server = serving.url.clone();
    let replay = ["--server", &server, "replay", "all"];
    let rebuilt = |result: &Value| result["rebuilt"].as_array().map(Vec::len);
    assert_eq!(rebuilt(&shop.json(&replay)), Some(3));
    serving.terminate();
    assert_eq!(serving.exit_code().await, Some(0));
    assert_eq!(rebuilt(&shop.json(&replay)), Some(3));
    let serving = Serving::start(shop.command());
    assert_eq!(get(&serving, "/orders").await["page"]["count"], 3);
    for status in get(&serving, "/projections").await["_embedded"]["projections"]
        .as_array()
        .expect("statuses")
    {
        assert_eq!(status["parkedKeys"], 0, "{status}");
    }
    let (log, customers) = (&shop.log, &shop.customers);
    assert!(rows_of("saga", log).await > 0 && rows_of("customer", customers).await > 0);
    for (view, elsewhere) in [
        ("customer", log),
        ("message", log),
        ("message", customers),
        ("saga", customers),
    ] {
        assert_eq!(rows_of(view, elsewhere).await, 0, "{view}");
    }
    let messages = shop.folder.path().join("messages").join("views.db");
    assert!(messages.is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_database_says_nothing_is_told_as_such_beside_the_others() {
    let shop = Scattered::new();
    shop.json(&["migrate"]);
    let (proxy, url) = behind_a_proxy(&shop.customers.url()).await;
    let mut command = shop.command();
    command
        .env_remove("BOOKMARKET_CUSTOMER_VIEW_URL_FILE")
        .env("BOOKMARKET_CUSTOMER_VIEW_URL", url);
    let serving = Serving::start(command);
    place(&serving).await;
    let reasons = async || {
        let ready = get(&serving, "/readyz").await;
        let told = ready["projections"].as_array().expect("views").clone();
        told.iter()
            .map(|it| it["lagReason"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let until = async |customer: Option<&str>| {
        let wanted = [customer.map(str::to_owned), None, None];
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = reasons().await;
            if told == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "it is still {told:?}");
        }
    };
    until(None).await;
    proxy.set(Weather::Held);
    until(Some("store-unreachable")).await;
    let scraped = reqwest::get(format!("{}/metrics", serving.url));
    let scraped = timeout(PATIENCE, scraped).await.expect("in time");
    let metrics = Answer::of(scraped.expect("an answer")).await.text();
    let gauge =
        "bookmarket_projection_lag_reason{view=\"customer\",reason=\"store-unreachable\"} 1\n";
    assert!(metrics.contains(gauge), "{metrics}");
    proxy.set(Weather::Fair);
    until(None).await;
}
