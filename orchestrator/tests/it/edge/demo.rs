//! `demo`, as somebody who has just cloned the project runs it.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use super::child::{complaint, run, unsettled, with};

#[test]
fn the_demo_shows_its_orders_to_the_end_and_the_log_vouches_for_its_table() {
    let folder = tempfile::tempdir().expect("a folder");
    // Whatever a shop on this machine has in its environment.
    let shop = TcpListener::bind("127.0.0.1:0").expect("a port");
    shop.set_nonblocking(true).expect("it need not wait");
    let address = shop.local_addr().expect("an address");
    let mut command = unsettled();
    command
        .env("BOOKMARKET_DATA_DIR", folder.path())
        .env("DATABASE_URL", format!("postgres://shop@{address}/shop"))
        .env("NATS_URL", format!("nats://{address}"))
        .env("BOOKMARKET_SIMULATOR_URL", format!("http://{address}"))
        .env("BOOKMARKET_EXTERNAL_STEPS", "notify,tell,send")
        .env("BOOKMARKET_ROLES", "relay");
    let demo = [
        "demo",
        "--exit",
        "--orders",
        "60",
        "--listen",
        "127.0.0.1:0",
        "--output",
        "json",
    ];
    let output = run(with(command, &demo));
    assert!(output.status.success(), "{}", complaint(&output));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let count = |what: &str| {
        let rows = result["rows"].as_array().expect("rows").iter();
        rows.clone()
            .find(|row| {
                row["what"]
                    .as_str()
                    .is_some_and(|row| row.starts_with(what))
            })
            .map(|row| row["log"].clone())
    };
    assert_eq!(count("orders placed"), Some(60.into()));
    assert_eq!(count("payment declined"), Some(5.into()));
    assert_eq!(count("still moving"), Some(0.into()));
    assert_eq!(result["violations"], Value::Array(Vec::new()));
    let touched = std::fs::read_dir(folder.path())
        .map(Iterator::count)
        .unwrap_or_default();
    assert_eq!(
        touched, 0,
        "the demo stays away from the directory of real orders"
    );
    let knocked = shop.accept().map_err(|error| error.kind());
    assert_eq!(
        knocked.expect_err("the demo stays away from databases, brokers and providers of a shop"),
        ErrorKind::WouldBlock
    );
}

#[test]
fn a_flag_that_names_what_a_shop_has_is_refused_by_the_demo_and_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("text");
    for [flag, value] in [
        ["--data-dir", data],
        ["--database-url", "postgres://127.0.0.1:1/shop"],
        ["--nats-url", "nats://127.0.0.1:1"],
        ["--simulator-url", "http://127.0.0.1:1"],
        ["--roles", "api"],
        ["--api-tokens", "/nowhere"],
    ] {
        for words in [[flag, value, "demo"], ["demo", flag, value]] {
            let output = run(with(unsettled(), &words));
            let complaint = complaint(&output);
            assert_eq!(output.status.code(), Some(2), "{complaint}");
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
            let says = format!("error: the demo takes no {flag}: ");
            assert!(complaint.starts_with(&says), "{complaint}");
            assert!(complaint.contains("--keep"), "{complaint}");
        }
    }
    assert!(!std::fs::exists(data).expect("it can be looked at"));
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = unsettled();
    command.env("TMPDIR", folder.path());
    command.args(["demo", "--listen", "127.0.0.1:0"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let first = said.next().expect("a line").expect("text");
    assert!(first.contains("serves on"), "{first}");
    let id = i32::try_from(child.id()).expect("a process id");
    let id = rustix::process::Pid::from_raw(id).expect("an id");
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it can be told");
    // It writes on until it ends.
    let rest: Vec<String> = said.map_while(Result::ok).collect();
    let code = child.wait().expect("it ends").code();
    assert_eq!(code, Some(130), "{rest:?}");
    let left = std::fs::read_dir(folder.path()).expect("the folder");
    assert_eq!(left.count(), 0);
}
