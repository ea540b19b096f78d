//! Views as they were, in files.

use std::os::unix::fs::PermissionsExt as _;

use chrono::{SecondsFormat, TimeDelta, Utc};
use eventstore::Position;
use eventstore::testing::TestLog;
use serde_json::Value;

use super::shelf::{Shelf, each};
use crate::edge::child::{Serving, complaint};

/// How many orders had been placed up to a position.
async fn orders(shelf: &Shelf, position: i64) -> usize {
    let page = shelf
        .log()
        .await
        .read_all(Position::ZERO, 10_000, None)
        .await;
    let events = page.expect("the log").events;
    let placed = |event: &&eventstore::RecordedEvent| {
        event.position.0 <= position && &*event.event_type == "Ordered"
    };
    events.iter().filter(placed).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_written_to_a_file_as_it_was_beside_whoever_holds_the_store() {
    each(60, async |shelf: Shelf| {
        let before = shelf.digest().await;
        let _serving = Serving::start(shelf.command(&[]));
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name).display().to_string();

        let json = file("then.json");
        let then = ["replay", "customer", "--to-position", "77", "--out", &json];
        let told = shelf.lines(&then, 0);
        let rows: Vec<Value> =
            serde_json::from_slice(&std::fs::read(&json).expect("the file")).expect("JSON");
        assert_eq!(rows.len(), orders(&shelf, 77).await);
        assert!(rows.iter().all(|row| row["orderId"].is_string()));
        let result = told.last().expect("a result");
        assert_eq!(
            (&result["rows"], &result["position"]),
            (&rows.len().into(), &77.into())
        );

        let csv = file("then.csv");
        shelf.run(
            &["replay", "customer", "--to-position", "77", "--out", &csv],
            0,
        );
        let text = std::fs::read_to_string(&csv).expect("the file");
        assert_eq!(text.lines().count(), rows.len() + 1);
        let heading = text.lines().next().expect("a heading");
        assert!(
            heading.contains("orderId") && heading.contains("payment.paid"),
            "{heading}"
        );

        let events = shelf.log().await.read_all(Position(199), 1, None).await;
        let at = events.expect("the log").events[0].recorded_at;
        let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let told = shelf.lines(
            &[
                "replay",
                "message",
                "--to-time",
                &at,
                "--out",
                &file("m.json"),
            ],
            0,
        );
        let position = told.last().expect("a result")["position"].as_i64();
        let last = shelf
            .log()
            .await
            .last_recorded_by(at.parse().expect("a moment"))
            .await;
        assert_eq!(position, last.ok().map(|last| last.0));
        assert!(position >= Some(200), "{position:?}");

        let left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("the folder")
            .collect();
        assert_eq!(left.len(), 3, "nothing but the files: {left:?}");
        for file in left.into_iter().flatten() {
            let mode = file.metadata().expect("its mode").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file:?} is about customers");
        }
        assert_eq!(shelf.digest().await, before);
    })
    .await;
}

/// Runs `replay` with these arguments, none of which has a space in it, and checks how it ends; returns what it complains of.
fn replay(shelf: &Shelf, arguments: &str, code: i32) -> String {
    let arguments: Vec<&str> = ["replay"]
        .into_iter()
        .chain(arguments.split_whitespace())
        .collect();
    complaint(&shelf.run(&arguments, code))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_refused_before_any_work() {
    let shelf = Shelf::with(TestLog::sqlite(), 5).await;
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("rows.json");
    let (to, none) = (out.display(), folder.path().join("none/rows.json"));
    let future = (Utc::now() + TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let none = none.display();
    for (arguments, code, says) in [
        (
            format!("customer --to-position 51 --out {to}"),
            1,
            "ends at 50",
        ),
        (
            format!("customer --to-time {future} --out {to}"),
            1,
            "has not come yet",
        ),
        (format!("all --to-position 5 --out {to}"), 1, "one view"),
        (
            "customer --to-position 5 --out rows.xlsx".to_owned(),
            1,
            ".csv or .json",
        ),
        (
            format!("customer --to-position 5 --out {none}"),
            1,
            "no directory",
        ),
        (
            format!("customer --to-time noon --out {to}"),
            2,
            "2026-11-20T09:00:00Z",
        ),
        ("customer --to-position 5".to_owned(), 2, "--out"),
        (format!("customer --out {to}"), 2, "--to-position"),
        (
            format!("customer --to-position 5 --to-time {future} --out {to}"),
            2,
            "cannot be used with",
        ),
        (
            format!("customer --to-position 5 --out {to} --verify"),
            2,
            "--verify",
        ),
    ] {
        let complaint = replay(&shelf, &arguments, code);
        assert!(complaint.contains(says), "{arguments}: {complaint}");
    }
    assert!(!out.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_written_over_only_by_force() {
    let shelf = Shelf::with(TestLog::sqlite(), 5).await;
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("rows.json");
    let to = out.display();
    let written = || std::fs::read(&out).expect("the file");
    replay(&shelf, &format!("customer --to-position 5 --out {to}"), 0);
    let then = written();
    let later = format!("customer --to-position 50 --out {to}");
    let complaint = replay(&shelf, &later, 1);
    assert!(complaint.contains("--force"), "{complaint}");
    assert_eq!(written(), then);
    replay(&shelf, &format!("{later} --force"), 0);
    assert_ne!(written(), then);
}
