//! The scripts behind the tests: a private Postgres and nobody else's, and NATS as far as it can be had.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::source::root;

fn postgres(verb: &str, dir: &Path, rest: &[&str]) -> Output {
    Command::new(root().join("scripts/postgres.sh"))
        .arg(verb)
        .arg(dir)
        .args(rest)
        .output()
        .expect("the script starts")
}

fn url(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .last()
        .expect("a URL")
        .to_owned()
}

#[test]
fn a_directory_that_was_not_made_by_the_script_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("data")).expect("a data directory");
    fs::write(dir.path().join("data/PG_VERSION"), "15\n").expect("a version");
    for verb in ["start", "stop"] {
        let output = postgres(verb, dir.path(), &[]);
        assert!(!output.status.success(), "{verb}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("not made here"),
            "{verb}"
        );
    }
}

#[test]
fn a_server_that_was_stopped_at_once_comes_back_on_its_port() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = dir.path().join("server");
    let first = url(&postgres("start", &server, &[]));
    let again = url(&postgres("start", &server, &[]));
    assert!(postgres("stop", &server, &["immediate"]).status.success());
    let restarted = url(&postgres("start", &server, &[]));
    let stopped = postgres("stop", &server, &["fast"]);
    assert!(stopped.status.success());
    assert_eq!(first, again);
    assert_eq!(first, restarted);
}

#[test]
fn what_cannot_be_had_of_nats_is_said_and_does_not_hide_the_rest() {
    let cache = tempfile::tempdir().expect("a directory");
    // Nobody answers there.
    let output = Command::new(root().join("scripts/nats.sh"))
        .arg("install")
        .env("XDG_CACHE_HOME", cache.path())
        .env("PIP_INDEX_URL", "http://127.0.0.1:1/")
        .env("PIP_RETRIES", "0")
        .env("TEST_NATS_OLD", "/some/nats-server")
        .env_remove("TEST_NATS_NEW")
        .env_remove("TEST_NATS_PYTHON")
        .output()
        .expect("the script starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "TEST_NATS_OLD=/some/nats-server\n"
    );
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = |of: &str, why: &[&str]| {
        let lines = told
            .lines()
            .filter(|line| line.starts_with("nats.sh: ") && line.contains(of));
        lines
            .into_iter()
            .any(|line| why.iter().any(|why| line.contains(why)))
    };
    // Some kinds of machines have no pinned server.
    assert!(
        said("nats-server", &["cannot be downloaded", "is pinned for"]),
        "{told}"
    );
    assert!(said("nats-py", &["cannot be downloaded"]), "{told}");
}
