//! Postgres that is reached over TLS only. The certificates in `tls/` are good for these tests alone: everybody has the key.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Client as Http;
use serde_json::Value;
use tokio_postgres::Client;

use super::child::{Serving, bookmarket, complaint, last_line, run, with};
use super::own_postgres::OwnPostgres;
use super::server::{PATIENCE, order};

const CERTIFICATE: &str = include_str!("tls/server.pem");
const KEY: &str = include_str!("tls/server.key");

/// The server writes its own files: it takes a key only from its own user.
async fn demand_tls(client: &Client) {
    let files = [
        ("server.crt", CERTIFICATE),
        ("server.key", KEY),
        ("pg_hba.conf", "hostssl all all 127.0.0.1/32 trust"),
    ];
    for (name, text) in files {
        let copy = format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077; cat > {name}'",
            text.trim()
        );
        client.batch_execute(&copy).await.expect(name);
    }
    for change in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
        client.batch_execute(change).await.expect(change);
    }
}

/// The command line in this folder, on that server, trusting whoever that file vouches for.
fn command(folder: &Path, url: &str, trusted: &Path) -> Command {
    let mut command = bookmarket(folder);
    command
        .env("DATABASE_URL", url)
        .env("SSL_CERT_FILE", trusted);
    command
}

async fn encrypted_server() -> (OwnPostgres, String) {
    let server = OwnPostgres::start();
    server.administer(demand_tls).await;
    let url = format!("{}?sslmode=require", server.url);
    (server, url)
}

fn certificates() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/edge/tls/ca.pem")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_takes_only_tls_is_reached_if_it_can_be_trusted() {
    let (server, encrypted) = encrypted_server().await;
    let folder = tempfile::tempdir().expect("a folder");
    let migrate =
        |url: &str, trusted: &Path| run(with(command(folder.path(), url, trusted), &["migrate"]));
    let (ours, stranger) = (certificates(), certificates().with_file_name("server.pem"));
    let done = migrate(&encrypted, &ours);
    assert!(done.status.success(), "{}", complaint(&done));
    let refused = migrate(&encrypted, &stranger);
    assert!(
        !refused.status.success(),
        "a certificate that nobody vouches for"
    );
    let refused = migrate(&server.url, &ours);
    assert!(
        !refused.status.success(),
        "a connection that is not encrypted"
    );
}

/// Goes through every kind of connection: the appender's, the readers', the views', and that of the bulk reader.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_served_and_the_log_replayed_over_tls() {
    let (_server, encrypted) = encrypted_server().await;
    let folder = tempfile::tempdir().expect("a folder");
    let command = || command(folder.path(), &encrypted, &certificates());
    let mut serving = Serving::start(command());
    let placed = Http::new()
        .post(format!("{}/orders", serving.url))
        .json(&order("33"));
    let placed = placed.send().await.expect("an answer");
    assert_eq!(placed.status(), 201);
    let token = placed.headers()["consistency-token"].clone();
    let id = placed.json::<Value>().await.expect("JSON")["orderId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let row = Http::new().get(format!("{}/mypages/{id}", serving.url));
    let row = row
        .header("Consistency-Token", token)
        .header("Prefer", "wait=20");
    let row = row.send().await.expect("an answer");
    assert_eq!(row.status(), 200);
    // Parcel and message follow by themselves; only a log that stands still can be counted.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let head = loop {
        let page = reqwest::get(format!("{}/events", serving.url))
            .await
            .expect("a page");
        let page: Value = page.json().await.expect("JSON");
        let events = page["events"].as_array().expect("events");
        if events.iter().any(|event| event["type"] == "SentMessage") {
            break events.last().expect("events")["position"].clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    serving.terminate();
    assert_eq!(serving.exit_code().await, Some(0));

    let replayed = run(with(command(), &["replay", "all", "--output", "json"]));
    assert!(replayed.status.success(), "{}", complaint(&replayed));
    let replayed = last_line(&replayed);
    let replayed = replayed["rebuilt"].as_array().expect("reports");
    assert_eq!(replayed.len(), 3);
    for report in replayed {
        assert_eq!(report["events"], head, "{report}");
    }
}
