//! Invariant 8: nothing personal or secret is anywhere in clear but with the provider and in the customer's own reads.

use std::path::Path;

use reqwest::Method;
use serde_json::json;

use super::child::bookmarket;
use super::server::{Answer, PATIENCE, order_paid_by, token_line};

const NAME: &str = "Canary Kim-Goldfinch";
const PHONE: &str = "+82-10-7777-1234";
const STREET: &str = "99 Canary Wharf-gil";
const CARD: &str = "tok_canary_4242";
const API_TOKEN: &str = "api-canary-token-0815";

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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_or_secret_is_in_tables_log_lines_problems_or_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::write(
        folder.path().join("tokens"),
        token_line("operator", "ops", API_TOKEN),
    )
    .expect("a token file");
    let mut command = bookmarket(&data);
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "trace",
            "--api-tokens",
        ])
        .arg(folder.path().join("tokens"));
    let lines = std::fs::File::create(folder.path().join("lines")).expect("a file");
    let mut child = command.stderr(lines).spawn().expect("it starts");
    let url = announced(&data).await;
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
    for path in [
        "/metrics".to_owned(),
        "/events?limit=1000".to_owned(),
        "/mypages".to_owned(),
        format!("/orders/{id}"),
        format!("/sagas/{id}"),
        "/kakaomsgs".to_owned(),
    ] {
        is_clean(&path, &ask(Method::GET, &path, None).await.text());
    }
    ask(Method::DELETE, &format!("/orders/{id}"), None).await;
    assert!(scan(folder.path()) >= 4);
    drop(child.kill());
    drop(child.wait());
}

/// The address that a server leaves in its directory.
async fn announced(data: &Path) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(url) = orchestrator::app::server_of(data) {
            return url;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not serve");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
