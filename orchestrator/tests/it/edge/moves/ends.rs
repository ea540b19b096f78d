//! Whatever goes wrong with a move ends in one clear line.

use eventstore::testing::TestLog;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::super::child::{Serving, bookmarket, complaint, fails, run, with};
use super::{fill, on, part, text, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_into_a_file_and_comes_out_of_it_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = TestLog::sqlite();
    drop(fill(&log, 30).await);
    let file = folder.path().join("log.gz");
    let from = || on(&log.location(), folder.path());
    let exported = told(from(), &["log", "export", "--out", text(&file)]);
    assert_eq!(exported["events"], 30);
    assert!(!part(&file).exists());
    let mode = std::fs::metadata(&file)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else's business");

    let piped = run(with(from(), &["log", "export"]));
    assert!(piped.status.success(), "{}", complaint(&piped));
    assert_eq!(
        piped.stdout,
        std::fs::read(&file).expect("read"),
        "the same bytes on standard output"
    );

    let verified = told(bookmarket(folder.path()), &["log", "verify", text(&file)]);
    for fact in ["events", "sha256", "content"] {
        assert_eq!(verified[fact], exported[fact], "{fact}");
    }
    let copy = TestLog::postgres();
    let to = || on(&copy.location(), folder.path());
    let imported = told(to(), &["log", "import", "--in", text(&file)]);
    assert_eq!(
        (&imported["added"], &imported["content"]),
        (&30.into(), &exported["content"])
    );
    let again = run(with(to(), &["log", "import", "--in", text(&file)]));
    assert!(again.status.success() && complaint(&again).contains("nothing to do"));
    let back = told(
        to(),
        &[
            "log",
            "export",
            "--out",
            text(&folder.path().join("back.gz")),
        ],
    );
    assert_eq!(back["content"], exported["content"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = TestLog::sqlite();
    drop(fill(&log, 30).await);
    let from = || on(&log.location(), folder.path());
    let file = folder.path().join("log.gz");
    let export = ["log", "export", "--out", text(&file)];
    std::fs::write(part(&file), b"").expect("written");
    fails(with(from(), &export), "--resume goes on with it");
    std::fs::write(part(&file), b"no export").expect("written");
    let resume = [&export[..], &["--resume"]].concat();
    fails(with(from(), &resume), "not the export of a log");
    std::fs::remove_file(part(&file)).expect("removed");
    told(from(), &resume);
    fails(with(from(), &export), "is there already");
    let nowhere = folder.path().join("nowhere/log.gz");
    fails(
        with(from(), &["log", "export", "--out", text(&nowhere)]),
        "nowhere/log.gz.part",
    );
    let nothing = folder.path().join("nothing");
    fails(with(bookmarket(&nothing), &export), "there is no log in");
    assert!(!nothing.exists());
    let unnamed = run(with(from(), &["log", "export", "--resume"]));
    assert_eq!(unnamed.status.code(), Some(2), "{}", complaint(&unnamed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_whole_ends_in_one_line_and_leaves_a_store_that_nobody_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = TestLog::sqlite();
    drop(fill(&log, 6_000).await);
    let file = folder.path().join("log.gz");
    told(
        on(&log.location(), folder.path()),
        &["log", "export", "--out", text(&file)],
    );
    let good = std::fs::read(&file).expect("read");
    let mut flipped = good.clone();
    flipped[good.len() - 1_000] ^= 1;
    let bad = folder.path().join("bad.gz");
    for (bytes, says) in [
        (
            &good[..good.len() - 1_000],
            "cut off: it ends after event 5000 of 6000",
        ),
        (&flipped[..], "damaged after event 5000"),
    ] {
        std::fs::write(&bad, bytes).expect("written");
        fails(
            with(bookmarket(folder.path()), &["log", "verify", text(&bad)]),
            says,
        );
        for copy in [TestLog::sqlite(), TestLog::postgres()] {
            let to = || on(&copy.location(), folder.path());
            let import = ["log", "import", "--in", text(&bad)];
            fails(with(to(), &import), says);
            fails(with(to(), &import), "nothing opens the store");
            for command in [
                &["serve", "--listen", "127.0.0.1:0"][..],
                &[
                    "log",
                    "export",
                    "--out",
                    text(&folder.path().join("never.gz")),
                ],
                &["migrate"],
                &["replay", "all"],
                &["preflight"],
            ] {
                fails(with(to(), command), "only the beginning of an import");
            }
            let doctor = run(with(to(), &["doctor"]));
            assert_eq!(doctor.status.code(), Some(1));
            let advice = String::from_utf8_lossy(&doctor.stdout).into_owned();
            assert!(
                advice.contains("bookmarket log import --in FILE"),
                "{advice}"
            );

            let imported = told(to(), &["log", "import", "--in", text(&file)]);
            assert_eq!(
                imported["added"], 1_000,
                "it goes on where the other one stopped"
            );
            told(to(), &["replay", "all"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_or_a_store_of_something_else_ends_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = TestLog::sqlite();
    drop(fill(&log, 10).await);
    let file = folder.path().join("log.gz");
    told(
        on(&log.location(), folder.path()),
        &["log", "export", "--out", text(&file)],
    );

    let newer = folder.path().join("newer.gz");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    writeln!(packed, r#"{{"format":"eventstore-archive","version":2}}"#).expect("packed");
    std::fs::write(&newer, packed.finish().expect("packed")).expect("written");
    let store = folder.path().join("store");
    let import =
        |file: &std::path::Path| with(bookmarket(&store), &["log", "import", "--in", text(file)]);
    fails(import(&newer), "has format 2, this build reads up to 1");
    fails(import(&folder.path().join("missing.gz")), "cannot open");
    std::fs::write(&newer, b"something else").expect("written");
    fails(import(&newer), "not the export of a log");
    assert!(!store.exists(), "nothing was made");

    let other = TestLog::postgres();
    drop(fill(&other, 3).await);
    let import = ["log", "import", "--in", text(&file)];
    fails(
        with(on(&other.location(), folder.path()), &import),
        "another log: at position 1 it has Noted",
    );
    let longer = TestLog::sqlite();
    told(on(&longer.location(), folder.path()), &import);
    drop(fill(&longer, 1).await);
    fails(
        with(on(&longer.location(), folder.path()), &import),
        "holds 11 events, the export only 10",
    );

    let serving = Serving::start(bookmarket(&store));
    fails(
        with(bookmarket(&store), &import),
        "in use by another process",
    );
    fails(
        with(bookmarket(&store), &["migrate", "--new-epoch"]),
        "stop it first",
    );
    drop(serving);
    let before = told(
        bookmarket(&store),
        &[
            "log",
            "export",
            "--out",
            text(&folder.path().join("empty.gz")),
        ],
    );
    assert_eq!(before["events"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_is_told_and_ends_the_exports_of_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for log in [TestLog::sqlite(), TestLog::postgres()] {
        let store = fill(&log, 10).await;
        let old = store.epoch().await.expect("read").to_string();
        drop(store);
        let to = || on(&log.location(), folder.path());
        let file = folder.path().join("log.gz");
        told(to(), &["log", "export", "--out", text(&file)]);
        std::fs::rename(&file, part(&file)).expect("as if interrupted");

        let renewed = told(to(), &["migrate", "--new-epoch"]);
        let new = renewed["epoch"].as_str().expect("an epoch");
        assert_ne!(new, old);
        let doctor = run(with(to(), &["doctor"]));
        assert!(
            String::from_utf8_lossy(&doctor.stdout).contains(new),
            "the doctor tells it"
        );
        let resume = ["log", "export", "--out", text(&file), "--resume"];
        fails(with(to(), &resume), "is of another log");
        assert_eq!(
            told(to(), &["migrate"]).get("epoch"),
            None,
            "only when it is asked for"
        );
        std::fs::remove_file(part(&file)).expect("removed");
    }
}
