//! Invariant 8: nothing personal or secret is anywhere in clear but with the provider and in the customer's own reads.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;

use eventstore::testing::TestDatabase;
use reqwest::Method;
use serde_json::json;
use tokio_postgres::NoTls;

use super::child::{Serving, bookmarket};
use super::server::{Answer, PATIENCE, order_paid_by, token_line};

const NAME: &str = "Canary Kim-Goldfinch";
const PHONE: &str = "+82-10-7777-1234";
const STREET: &str = "99 Canary Wharf-gil";
const CARD: &str = "tok_canary_4242";
const API_TOKEN: &str = "api-canary-token-0815";

/// The file with all that the server writes.
const LINES: &str = "lines";

const SECRETS: [&str; 5] = [NAME, PHONE, STREET, CARD, API_TOKEN];

#[track_caller]
fn is_clean(place: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {place}");
    }
}

/// Every file of the server: both databases with their logs, the ledger, the server's own lines.
fn scan(folder: &Path) -> usize {
    let mut scanned = 0;
    for entry in std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() {
            scanned += scan(&entry);
        } else if entry.file_name().is_some_and(|name| name != "tokens") {
            let bytes = std::fs::read(&entry).expect("a file");
            is_clean(
                &entry.display().to_string(),
                &String::from_utf8_lossy(&bytes),
            );
            scanned += 1;
        }
    }
    scanned
}

fn canary(token: &str) -> serde_json::Value {
    let mut order = order_paid_by("canary", token);
    order["contact"] = json!({ "name": NAME, "phone": PHONE });
    order["address"] = json!({ "street": STREET });
    order
}

/// Every column of every table of ours that can hold a text, and those that held anything.
async fn scan_tables(database: &TestDatabase) -> BTreeSet<String> {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .expect("connected");
    let driver = tokio::spawn(connection);
    let columns = "SELECT table_name::text, column_name::text, data_type = 'bytea' FROM information_schema.columns
        WHERE table_schema = 'public'
          AND data_type IN ('text', 'character varying', 'character', 'json', 'jsonb', 'bytea', 'ARRAY')";
    let mut filled = BTreeSet::new();
    for column in client.query(columns, &[]).await.expect("columns") {
        let (table, name, is_binary): (String, String, bool) =
            (column.get(0), column.get(1), column.get(2));
        let bytes = if is_binary {
            name.clone()
        } else {
            format!("convert_to({name}::text, 'UTF8')")
        };
        let all = format!("SELECT {bytes} FROM {table} WHERE {name} IS NOT NULL");
        let place = format!("{table}.{name}");
        for row in client.query(&all, &[]).await.expect("rows") {
            is_clean(&place, &String::from_utf8_lossy(row.get(0)));
            filled.insert(place.clone());
        }
    }
    driver.abort();
    filled
}

/// A server with its log in a database, if there is one, and with every line it writes in a file.
fn serve(folder: &Path, database: Option<&TestDatabase>) -> Child {
    let tokens = folder.join("tokens");
    std::fs::write(&tokens, token_line("operator", "ops", API_TOKEN)).expect("a token file");
    let mut command = bookmarket(&folder.join("data"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "trace"])
        .arg("--api-tokens")
        .arg(tokens);
    if let Some(database) = database {
        command.args(["--database-url", &database.url()]);
    }
    let lines = std::fs::File::create(folder.join(LINES)).expect("a file");
    command.stderr(lines).spawn().expect("it starts")
}

/// Lets an order be placed, refused, read and canceled, looking at all that comes back.
async fn live(url: &str) {
    let client = reqwest::Client::new();
    let ask = async |method: Method, path: &str, body: Option<serde_json::Value>| {
        let mut request = client
            .request(method, format!("{url}{path}"))
            .bearer_auth(API_TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.expect("an answer")).await
    };
    let paid = ask(Method::POST, "/orders", Some(canary(CARD))).await;
    assert_eq!(paid.status, 201, "{}", paid.text());
    let id = paid.body()["orderId"].as_str().expect("an id").to_owned();
    let mut bad = canary(CARD);
    bad["lines"] = json!([{ "bookId": STREET, "qty": "x", "unitPrice": 1 }]);
    bad["contact"]["phone"] = json!([PHONE]);
    is_clean(
        "a problem",
        &ask(Method::POST, "/orders", Some(bad)).await.text(),
    );
    is_clean("an answer", &paid.text());
    let canceled = ask(Method::DELETE, &format!("/orders/{id}"), None).await;
    assert!(canceled.status < 300, "{}", canceled.text());
    let token = canceled.header("consistency-token").expect("a token");
    for path in [
        "/metrics".to_owned(),
        "/events?limit=1000".to_owned(),
        format!("/mypages?atLeast={token}"),
        format!("/orders/{id}"),
        format!("/sagas?atLeast={token}"),
        format!("/sagas/{id}"),
        format!("/kakaomsgs?atLeast={token}"),
    ] {
        let answer = ask(Method::GET, &path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        is_clean(&path, &answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_or_secret_is_in_tables_log_lines_problems_or_metrics() {
    for database in [None, Some(TestDatabase::create())] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Serving {
            child: serve(folder.path(), database.as_ref()),
            url: String::new(),
        };
        server.url = announced(&folder.path().join(LINES)).await;
        live(&server.url).await;
        if let Some(database) = &database {
            let filled = scan_tables(database).await;
            let held = |place: &str| filled.iter().any(|known| known.starts_with(place));
            for place in [
                "events.data",
                "events.metadata",
                "subject_keys.",
                "view_customer_",
                "view_saga_",
            ] {
                assert!(held(place), "nothing was in {place}: {filled:?}");
            }
        }
        let files = if database.is_some() { 3 } else { 4 };
        assert!(scan(folder.path()) >= files);
    }
}

/// The address that a server writes into its lines.
async fn announced(lines: &Path) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(lines).expect("the lines");
        if let Some((_, after)) = text.split_once("http://127.0.0.1:")
            && let Some(end) = after.find(|c: char| !c.is_ascii_digit())
        {
            return format!("http://127.0.0.1:{}", &after[..end]);
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not serve");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
