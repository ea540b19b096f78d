//! `demo`, as somebody who has just cloned the project runs it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::child::{bookmarket, complaint, run, with};

#[test]
fn the_demo_shows_its_orders_to_the_end_and_the_log_vouches_for_its_table() {
    let folder = tempfile::tempdir().expect("a folder");
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
    let output = run(with(bookmarket(folder.path()), &demo));
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
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = bookmarket(&folder.path().join("data"));
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
