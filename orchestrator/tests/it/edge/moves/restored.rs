//! The drill: a database is dumped, put back elsewhere, and the shop opens again.

use std::process::{Command, Output};

use eventstore::testing::TestDatabase;
use secrecy::SecretString;
use serde_json::Value;
use tokio_postgres::NoTls;

use super::super::child::{bookmarket, complaint};
use super::super::own_postgres::OwnPostgres;
use super::super::server::{Backend, Halted, TestServer};
use super::shop::{busy, shown};
use super::{text, told, told_beside};

const ORDERS: usize = 4;

/// A tool of the server that answers at this address, of its own version.
async fn tool(url: &str, name: &str) -> Command {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("connected");
    tokio::spawn(connection);
    let sql = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
    let dir: String = client.query_one(sql, &[]).await.expect("read").get(0);
    Command::new(format!("{dir}/{name}"))
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", complaint(output));
}

/// Dumps a database, or only some of its tables, as SQL that puts them back.
async fn dump(url: &str, only: &[&str]) -> Vec<u8> {
    let mut command = tool(url, "pg_dump").await;
    command.args(["--clean", "--if-exists", "--no-owner", "--dbname", url]);
    for table in only {
        command.args(["--table", table]);
    }
    let output = command.output().expect("pg_dump runs");
    done(&output);
    output.stdout
}

async fn restore(url: &str, dump: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), dump).expect("written");
    let mut command = tool(url, "psql").await;
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--set",
        "ON_ERROR_STOP=1",
        "--single-transaction",
    ]);
    command.args(["--dbname", url, "--file", text(file.path())]);
    done(&command.output().expect("psql runs"));
}

/// A shop on Postgres that leaves the providers' books alone, so that nothing but its customers moves it.
async fn shop() -> TestServer {
    TestServer::start(Backend::Postgres, |settings| {
        settings.providers.reconcile_every = std::time::Duration::ZERO;
    })
    .await
}

fn url(halted: &Halted) -> String {
    halted
        .database()
        .map(TestDatabase::url)
        .expect("on Postgres")
}

async fn positions(server: &TestServer) -> Vec<(Value, Value)> {
    let all = server.get("/projections").await.body();
    let all = all["_embedded"]["projections"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    all.iter()
        .map(|it| (it["position"].clone(), it["state"].clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_put_back_into_a_fresh_cluster_opens_with_all_views_as_they_were() {
    let server = shop().await;
    let ids = busy(&server, ORDERS).await;
    let before = shown(&server).await;
    let head = server.edge().store.head().await.expect("read");
    let epoch = server.edge().store.epoch().await.expect("read");
    let halted = server.halt().await;
    let dump = dump(&url(&halted), &[]).await;

    let cluster = OwnPostgres::start();
    restore(&cluster.url, &dump).await;
    let mut relabel = bookmarket(halted.data_dir());
    relabel.env("DATABASE_URL", &cluster.url);
    let relabeled = told(relabel, &["migrate", "--new-epoch"]);
    assert_ne!(relabeled["epoch"], epoch.to_string());

    let there = SecretString::from(cluster.url.clone());
    let server = halted
        .start(|settings| settings.store.database_url = Some(there))
        .await;
    // They came with the dump and were not folded again.
    assert_eq!(server.edge().store.head().await.expect("read"), head);
    assert!(positions(&server).await.iter().all(|(at, _)| *at == head.0));
    assert_eq!(shown(&server).await, before);
    told_beside(
        {
            let mut replay = bookmarket(server.folder.path());
            replay.env("DATABASE_URL", &cluster.url);
            replay
        },
        &["replay", "all"],
    )
    .await;
    assert_eq!(
        shown(&server).await,
        before,
        "and folded again they are the same"
    );
    let order = server.get(&format!("/orders/{}", ids[0])).await.body();
    assert_eq!(order["contact"]["name"], "Hong Gil-dong");
    server.placed("somebody-new").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_put_back_from_before_its_views_stops_them_loudly_until_they_are_folded_again() {
    let server = shop().await;
    busy(&server, ORDERS).await;
    let early = shown(&server).await;
    let database_url = server.edge().store.location().clone();
    let eventstore::Location::Postgres { url: location } = database_url else {
        unreachable!("on Postgres");
    };
    let location = secrecy::ExposeSecret::expose_secret(&location).to_owned();
    // Beside the server, as it is done every night.
    let log = dump(&location, &["events", "log_*", "subject_keys"]).await;
    busy(&server, ORDERS).await;
    assert_ne!(shown(&server).await, early);
    let halted = server.halt().await;
    restore(&location, &log).await;

    let server = halted.start(|_| {}).await;
    for name in ["customer", "message", "saga"] {
        let stopped = server
            .eventually(&format!("/projections/{name}"), |it| {
                it["projection"]["state"] == "stopped"
            })
            .await;
        let reason = stopped["projection"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("does not continue"), "{stopped}");
    }
    let mut replay = bookmarket(server.folder.path());
    replay.env("DATABASE_URL", &location);
    told_beside(replay, &["replay", "all"]).await;
    for name in ["customer", "message", "saga"] {
        server
            .eventually(&format!("/projections/{name}"), |it| {
                it["projection"]["state"] == "running"
            })
            .await;
    }
    assert_eq!(shown(&server).await, early);
    server.placed("somebody-new").await;
    server.stop().await;
}
