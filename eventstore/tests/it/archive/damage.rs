//! Files that are not what was written.

use eventstore::archive::{ArchiveError, ImportError, MEMBER_EVENTS};
use eventstore::testing::{TestLog, each_backend};
use eventstore::{Access, EventStore, OpenError, Options, Position};

use super::shelf::{Shelf, events, export, fill, import, pack, tell, text, verify};
use crate::support::{append_one, dice, whole_log};

/// A log of two members, exported.
async fn archive(shelf: &Shelf) -> (Vec<u8>, TestLog) {
    let log = TestLog::sqlite();
    fill(&log.open().await, MEMBER_EVENTS + 500).await;
    let path = shelf.path("archive");
    export(&log, &path).await;
    (std::fs::read(path).expect("read"), log)
}

/// Whether nobody can open the log, not even to look at it.
async fn is_closed(log: &TestLog) -> bool {
    let mut refused = true;
    for access in [Access::Write, Access::ReadOnly] {
        let options = Options {
            access,
            ..Options::default()
        };
        let opened = EventStore::open(&log.location(), options).await;
        refused &= matches!(opened, Err(OpenError::HalfImport));
    }
    let migrated = EventStore::migrate(&log.location()).await;
    refused && matches!(migrated, Err(OpenError::HalfImport))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_is_found_or_means_nothing() {
    let shelf = Shelf::new();
    let log = TestLog::sqlite();
    let store = log.open().await;
    for nth in 0..3 {
        tell(&store, &format!(r#"{{"qty":{nth}}}"#)).await;
    }
    let path = shelf.path("archive");
    export(&log, &path).await;
    let bytes = std::fs::read(&path).expect("read");
    let whole = verify(bytes.clone()).await.expect("whole");
    let mut harmless = 0;
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        if let Ok(found) = verify(flipped).await {
            assert_eq!(found, whole, "bit {at}");
            harmless += 1;
        }
    }
    // Of each of the three members: time, system, and a remark that gzip itself takes no notice of.
    assert!(
        harmless <= 3 * 8 * 7,
        "{harmless} of {} bits",
        bytes.len() * 8
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_ends_anywhere_is_found_out() {
    let shelf = Shelf::new();
    let (bytes, _log) = archive(&shelf).await;
    let mut dice = dice("cut files");
    let anywhere = (0..100).map(|_| dice.usize(..bytes.len()));
    for length in (0..40).chain(anywhere).chain(bytes.len() - 40..bytes.len()) {
        let found = verify(bytes[..length].to_vec()).await.expect_err("cut off");
        let told = matches!(found, ArchiveError::CutOff { .. } | ArchiveError::Foreign);
        assert!(told, "{length}: {found}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let found = verify(longer).await.expect_err("too long");
    assert!(matches!(found, ArchiveError::Damaged { .. }), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_made_of_a_bad_file_is_opened_by_nobody_until_the_good_one_has_come() {
    let shelf = Shelf::new();
    let (bytes, origin) = archive(&shelf).await;
    let good = shelf.path("archive");
    let cut = shelf.put("cut", &bytes[..bytes.len() - 200]);
    let early = shelf.put("early", &bytes[..1_000]);
    let log = TestLog::sqlite();
    import(&early, &log).await.expect_err("bad");
    assert!(is_closed(&log).await, "also without a single event");
    let mut flipped = bytes.clone();
    let middle = bytes.len() - 5_000;
    flipped[middle] ^= 0x10;
    let flipped = shelf.put("flipped", &flipped);
    for bad in [cut, flipped] {
        each_backend(async |log: TestLog| {
            let failed = import(&bad, &log).await.expect_err("bad");
            let ImportError::Archive(
                ArchiveError::CutOff { after, .. } | ArchiveError::Damaged { after, .. },
            ) = failed
            else {
                panic!("{failed}");
            };
            assert!(after >= Position(MEMBER_EVENTS as i64));
            assert!(is_closed(&log).await);
            assert!(import(&bad, &log).await.is_err(), "it does not get better");
            assert!(is_closed(&log).await);
            let imported = import(&good, &log).await.expect("imported");
            assert!(
                imported.added < MEMBER_EVENTS as i64,
                "what was there was not done again"
            );
            let (found, wanted) = (log.open().await, origin.open().await);
            let (found, wanted) = (whole_log(&found).await, whole_log(&wanted).await);
            assert!(
                found
                    .iter()
                    .map(|e| e.event_id)
                    .eq(wanted.iter().map(|e| e.event_id))
            );
        })
        .await;
    }
}

/// An archive with these changes, and with or without the checksum that belongs to it then.
async fn forged(shelf: &Shelf, change: impl Fn(&mut Vec<String>), with_checksum: bool) -> Vec<u8> {
    let log = TestLog::sqlite();
    let store = log.open().await;
    fill(&store, 20).await;
    let path = shelf.path("to be forged");
    export(&log, &path).await;
    let mut lines: Vec<String> = text(&path).lines().map(str::to_owned).collect();
    change(&mut lines);
    if with_checksum {
        let trailer = lines.pop().expect("a trailer");
        let sum = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>()
                .as_bytes(),
        );
        let sum: String = sum
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (before, rest) = trailer.split_once("\"sha256\":\"").expect("a checksum");
        lines.push(format!("{before}\"sha256\":\"{sum}{}", &rest[64..]));
    }
    pack(&lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_changed_is_found_by_the_checksum_over_all_of_it() {
    let shelf = Shelf::new();
    let change = |lines: &mut Vec<String>| lines[7] = lines[7].replace("\"qty\":2", "\"qty\":3");
    let forged_bytes = forged(&shelf, change, false).await;
    let path = shelf.put("forged", &forged_bytes);
    each_backend(async |log: TestLog| {
        let failed = import(&path, &log).await.expect_err("bad").to_string();
        assert!(failed.contains("checksum over all of it"), "{failed}");
        assert!(is_closed(&log).await);
    })
    .await;
    // Whoever makes the checksum anew is believed here, and found out by whoever knows what the log has said.
    let believed = forged(&shelf, change, true).await;
    let found = verify(believed)
        .await
        .expect_err("other content")
        .to_string();
    assert!(found.contains("checksum over its events"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_events_that_no_log_has_is_refused_whatever_its_checksum() {
    let shelf = Shelf::new();
    type Change = fn(&mut Vec<String>);
    let version = |lines: &mut Vec<String>, nth: usize, to: i64| {
        let (before, rest) = lines[nth].split_once("\"version\":").expect("a version");
        let (_, after) = rest.split_once(',').expect("more");
        lines[nth] = format!("{before}\"version\":{to},{after}");
    };
    // Line 1 is event 1; the second event of the first stream is line 2.
    let changes: [(Change, &str); 6] = [
        (|lines| drop(lines.remove(5)), "follows"),
        (|lines| lines.swap(4, 5), "follows"),
        (
            |lines| lines[3] = lines[3].replace("\"type\":\"Ordered\"", "\"type\":\"Or dered\""),
            "event type",
        ),
        (
            |lines| lines[3] = lines[3].replace("\"stream\":\"order", "\"stream\":\"Order"),
            "stream",
        ),
        (
            |lines| lines[3] = lines[3].replace("\"qty\":2", "\"qty\":\"\\u0000\""),
            "U+0000",
        ),
        (
            |lines| {
                lines.insert(21, "{\"subject\":\"x\",\"keyId\":\"00000000-0000-0000-0000-000000000000\",\"wrapped\":\"\"}".to_owned())
            },
            "should be none",
        ),
    ];
    let mut files: Vec<(Vec<u8>, &str)> = Vec::new();
    for (change, says) in changes {
        files.push((forged(&shelf, change, true).await, says));
    }
    for (nth, to, says) in [(1, 2, "missing"), (1, 0, "version 0"), (2, 7, "version")] {
        files.push((
            forged(&shelf, |lines| version(lines, nth, to), true).await,
            says,
        ));
    }
    for (bytes, says) in files {
        let path = shelf.put("forged", &bytes);
        each_backend(async |log: TestLog| {
            let failed = import(&path, &log).await.expect_err("bad");
            assert!(
                matches!(failed, ImportError::Archive(ArchiveError::Damaged { .. })),
                "{failed}"
            );
            assert!(failed.to_string().contains(says), "{says}: {failed}");
            assert!(is_closed(&log).await);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_twice_is_refused() {
    let shelf = Shelf::new();
    let log = TestLog::sqlite();
    let store = log.open().await;
    append_one(&store).await.expect("stored");
    append_one(&store).await.expect("stored");
    let path = shelf.path("archive");
    export(&log, &path).await;
    let [first, second] = &events(&path)[..] else {
        panic!("two events")
    };
    let stream =
        |line: &str| line.split_once("\"stream\":\"order-").expect("a stream").1[..36].to_owned();
    let (one, other) = (stream(first), stream(second));
    let lines = text(&path).replace(&other, &one);
    let forged_lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    let forged = shelf.put("forged", &pack(&forged_lines));
    each_backend(async |log: TestLog| {
        let failed = import(&forged, &log).await.expect_err("bad");
        assert!(
            matches!(
                failed,
                ImportError::Archive(ArchiveError::Damaged {
                    after: Position(1),
                    ..
                })
            ),
            "{failed}"
        );
        assert!(is_closed(&log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_newer_format_and_one_of_something_else_are_told_apart_and_touch_nothing() {
    let shelf = Shelf::new();
    let newer = forged(
        &shelf,
        |lines| {
            lines[0] = r#"{"format":"eventstore-archive","version":2,"shape":"unknown"}"#.to_owned()
        },
        true,
    );
    let newer = shelf.put("newer", &newer.await);
    let other = shelf.put(
        "other",
        &pack(&[r#"{"format":"cookbook","version":1}"#.to_owned()]),
    );
    let plain = shelf.put(
        "plain",
        b"{\"format\":\"eventstore-archive\",\"version\":1}\n",
    );
    let empty = shelf.put("empty", b"");
    let log = TestLog::sqlite();
    let refused = import(&newer, &log).await.expect_err("newer");
    assert!(
        matches!(
            refused,
            ImportError::Archive(ArchiveError::Newer { found: 2, known: 1 })
        ),
        "{refused}"
    );
    for path in [other, plain, empty] {
        let refused = import(&path, &log).await.expect_err("foreign");
        assert!(
            matches!(refused, ImportError::Archive(ArchiveError::Foreign)),
            "{refused}"
        );
    }
    let dir = log.dir().expect("a directory");
    assert_eq!(
        std::fs::read_dir(dir).expect("read").count(),
        0,
        "nothing was made"
    );
}
