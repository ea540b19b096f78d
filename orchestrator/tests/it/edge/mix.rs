//! Roles and times of a process that contradict what it is given otherwise.

use eventstore::testing::TestDatabase;

use super::child::{Serving, bookmarket, complaint, run};

fn refused(arguments: &[&str], database: Option<&str>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = bookmarket(folder.path());
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments);
    command.envs(database.map(|url| ("DATABASE_URL", url)));
    let output = run(command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = complaint(&output);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint
}

#[test]
fn a_process_that_leaves_work_to_others_needs_what_they_can_reach() {
    for roles in ["api", "worker,projector", "api,worker", "projector"] {
        let complaint = refused(&["--roles", roles], None);
        assert!(complaint.contains("DATABASE_URL"), "{complaint}");
    }
    let database = TestDatabase::create();
    let complaint = refused(&["--roles", "api"], Some(&database.url()));
    assert!(complaint.contains("--simulator-url"), "{complaint}");
}

#[test]
fn an_embedded_view_needs_a_process_that_keeps_and_shows_it() {
    let database = TestDatabase::create();
    for flag in ["--customer-view-url", "--message-view-url"] {
        for roles in ["api,worker", "worker,projector", "worker"] {
            let arguments = ["--roles", roles, flag, "sqlite://views"];
            let complaint = refused(&arguments, Some(&database.url()));
            assert!(complaint.contains(flag), "{complaint}");
            assert!(complaint.contains("api and projector"), "{complaint}");
        }
    }
}

#[test]
fn a_drain_that_leaves_no_time_to_stop_is_refused() {
    let complaint = refused(&["--drain-delay", "20s"], None);
    assert!(complaint.contains("--shutdown-grace"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_answers_no_customers_answers_those_who_run_it() {
    let (folder, database) = (
        tempfile::tempdir().expect("a folder"),
        TestDatabase::create(),
    );
    let mut command = bookmarket(folder.path());
    command.env("DATABASE_URL", database.url());
    // Nobody is asked before there is an order.
    command.env("BOOKMARKET_SIMULATOR_URL", "http://127.0.0.1:9");
    command.env("BOOKMARKET_ROLES", "worker,projector");
    let serving = Serving::start(command);
    for (path, status) in [
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/orders", 404),
        ("/events", 404),
        ("/docs", 404),
    ] {
        let answer = reqwest::get(format!("{}{path}", serving.url)).await;
        assert_eq!(answer.expect("an answer").status(), status, "{path}");
    }
}

#[test]
fn a_process_that_only_relays_needs_somewhere_to_relay_to() {
    let complaint = refused(&["--roles", "relay"], None);
    assert!(complaint.contains("NATS_URL"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_with_a_simulator_of_its_own_is_refused_until_the_first_is_gone() {
    let (folder, database) = (
        tempfile::tempdir().expect("a folder"),
        TestDatabase::create(),
    );
    let first = |name: &str| {
        let mut command = bookmarket(&folder.path().join(name));
        command.env("DATABASE_URL", database.url());
        command
    };
    let mut serving = Serving::start(first("one"));
    let url = database.url();
    let second = || refused(&[], Some(&url));
    let complaint = tokio::task::block_in_place(second);
    assert!(complaint.contains("bookmarket simulate"), "{complaint}");
    // Killed, it leaves a claim behind, which lasts for moments.
    serving.child.kill().expect("killed");
    serving.child.wait().expect("gone");
    let mut serving = Serving::start(first("one"));
    // Ended in order, it leaves none.
    serving.terminate();
    assert_eq!(serving.exit_code().await, Some(0));
    Serving::start(first("one"));
}
