//! `doctor`: it says what is well, and of everything else what to do.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use eventstore::testing::TestDatabase;
use serde_json::Value;

use super::child::{Serving, bookmarket, complaint, run, with};
use super::own_postgres::OwnPostgres;
use super::server::PATIENCE;
use crate::broker::nats::{NatsServer, Release};

/// What the doctor found.
struct Findings(Vec<Value>);

impl Findings {
    /// Of a doctor who ends with that exit code.
    fn of(mut command: Command, code: i32) -> Self {
        command.args(["doctor", "--output", "json"]);
        let output = run(command);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{told}{}",
            complaint(&output)
        );
        Self(serde_json::from_str(&told).expect("JSON"))
    }

    fn about(&self, check: &str) -> (&str, &str, &str) {
        let found = self.0.iter().find(|finding| finding["check"] == check);
        let found = found.unwrap_or_else(|| panic!("{check}: {:?}", self.0));
        let text = |field: &str| found[field].as_str().unwrap_or_default();
        (text("verdict"), text("found"), text("advice"))
    }

    fn bad(&self) -> Vec<&str> {
        let bad = self.0.iter().filter(|finding| finding["verdict"] == "bad");
        bad.map(|finding| finding["check"].as_str().expect("a name"))
            .collect()
    }

    /// Exactly this is bad; what was found contains one text, the advice another.
    #[track_caller]
    fn blame(&self, check: &str, found: &str, advice: &str) {
        assert_eq!(self.bad(), [check], "{:?}", self.0);
        let (_, said, advised) = self.about(check);
        assert!(
            said.contains(found) && advised.contains(advice),
            "{said}; {advised}"
        );
    }
}

fn migrated(command: impl Fn() -> Command) {
    let output = run(with(command(), &["migrate"]));
    assert!(output.status.success(), "{}", complaint(&output));
}

fn is_well(findings: &Findings, server: &str) {
    assert!(findings.bad().is_empty());
    let (verdict, log, _) = findings.about("log");
    assert_eq!(verdict, "good");
    assert!(log.starts_with(server), "{log}");
    for (tables, schema) in [("log", 2), ("views", 5)] {
        let (_, found, _) = findings.about(tables);
        assert!(
            found.contains(&format!("schema {schema} for builds from generation 1 on")),
            "{found}"
        );
    }
    assert!(findings.about("clock").1.contains("agree"));
    assert_eq!(findings.about("durability").0, "good");
    assert_eq!(findings.about("disk").0, "good");
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_new_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let embedded = || bookmarket(folder.path());
    migrated(embedded);
    is_well(&Findings::of(embedded(), 0), "SQLite 3.");
    let database = TestDatabase::create();
    let postgres = || on(folder.path(), &database.url());
    migrated(postgres);
    is_well(&Findings::of(postgres(), 0), "PostgreSQL ");
}

#[test]
fn the_doctor_looks_beside_a_running_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(bookmarket(folder.path()));
    let findings = Findings::of(
        with(bookmarket(folder.path()), &["--server", &serving.url]),
        0,
    );
    is_well(&findings, "SQLite 3.");
    assert_eq!(
        findings.about("server"),
        ("good", &*format!("{} is ready", serving.url), "")
    );
    assert_eq!(findings.about("master key").0, "good");
}

#[test]
fn what_cannot_go_together_is_found_before_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    migrated(|| bookmarket(folder.path()));
    for (flags, found) in [
        (&["--roles", "relay"][..], "NATS_URL"),
        (&["--roles", "api"], "DATABASE_URL"),
        (&["--drain-delay", "30s"], "--shutdown-grace"),
        (&["--external-steps", "notify"], "NATS_URL"),
    ] {
        let findings = Findings::of(with(bookmarket(folder.path()), flags), 1);
        findings.blame("configuration", found, "`serve` refuses to start with it");
    }
}

#[test]
fn the_doctor_looks_at_the_broker_and_makes_nothing_there() {
    for release in Release::EACH {
        let mut nats = NatsServer::start(release);
        let folder = tempfile::tempdir().expect("a folder");
        let url = nats.url();
        let shop = || with(bookmarket(folder.path()), &["--nats-url", &url]);
        migrated(shop);
        let found = Findings::of(shop(), 0);
        let (verdict, broker, _) = found.about("broker");
        assert_eq!(verdict, "good");
        assert!(
            broker.starts_with(&format!("NATS {release} at ")),
            "{broker}"
        );
        assert!(found.about("stream").1.contains("not there yet"));
        let serving = Serving::start(shop());
        let beside = || with(shop(), &["--server", &serving.url]);
        let deadline = Instant::now() + PATIENCE;
        while !Findings::of(beside(), 0)
            .about("stream")
            .1
            .contains("copies: 1")
        {
            assert!(Instant::now() < deadline, "no stream was made");
        }
        drop(serving);
        nats.kill();
        nats.launch_with_jetstream(false);
        Findings::of(shop(), 1).blame("broker", "no JetStream", "give it JetStream");
        nats.kill();
        // A broker that is gone is of no release, and is waited for.
        if release == Release::Old {
            continue;
        }
        let away = Findings::of(shop(), 0);
        let (verdict, found, advice) = away.about("broker");
        assert_eq!(verdict, "mind");
        assert!(found.contains("does not answer") && advice.contains("start it"));
    }
}

fn on(folder: &Path, url: &str) -> Command {
    let mut command = bookmarket(folder);
    command.env("DATABASE_URL", url);
    command
}

#[test]
fn the_doctor_says_what_to_do_about_each_setting_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    migrated(|| bookmarket(folder.path()));
    let exposed = with(bookmarket(folder.path()), &["--listen", "0.0.0.0:1"]);
    Findings::of(exposed, 1).blame("API tokens", "other machines", "--api-tokens");
    let nowhere = on(
        folder.path(),
        "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=2",
    );
    Findings::of(nowhere, 1).blame("log", "unavailable", "check that the database runs");
    let no_url = on(folder.path(), "not a url");
    Findings::of(no_url, 1).blame("log", "malformed", "postgres://user:password@host");
}

#[test]
fn the_doctor_says_that_a_master_key_is_none_before_a_server_stumbles_over_it() {
    let folder = tempfile::tempdir().expect("a folder");
    migrated(|| bookmarket(folder.path()));
    let nothing = folder.path().join("missing.key");
    let nothing = nothing.to_str().expect("text");
    let missing = with(bookmarket(folder.path()), &["--master-key-file", nothing]);
    Findings::of(missing, 1).blame("master key", nothing, "put the right key there");
    let key = folder.path().join("master.key");
    for (text, found) in [
        ("no key at all!", "not base64"),
        ("c2hvcnQ=", "5 bytes instead of 32"),
    ] {
        std::fs::write(&key, text).expect("written");
        Findings::of(bookmarket(folder.path()), 1).blame("master key", found, "from its backup");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_which_setting_of_postgres_would_lose_orders() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), OwnPostgres::start());
    let command = || on(folder.path(), &server.url);
    migrated(command);
    server
        .administer(async |client| {
            for change in ["ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"] {
                client.batch_execute(change).await.expect(change);
            }
        })
        .await;
    // The server takes its settings in when it gets to it.
    let deadline = std::time::Instant::now() + super::server::PATIENCE;
    while run(with(command(), &["doctor"])).status.success() {
        assert!(
            std::time::Instant::now() < deadline,
            "nothing is wrong with fsync = off"
        );
    }
    let findings = Findings::of(command(), 1);
    findings.blame("log", "fsync", "acknowledged orders could be lost");
}
