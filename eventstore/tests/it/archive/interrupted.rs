//! Exports that were broken off, at any byte.

use std::fs::OpenOptions;
use std::path::Path;

use eventstore::archive::{self, ExportError, Exported, MEMBER_EVENTS};
use eventstore::testing::{TestLog, each_backend};
use eventstore::{EventStore, ReadError, Vault};

use super::shelf::{Shelf, export_with, fill, reader};
use crate::support::{append_one, dice, restore_older_copy};

/// Places at which an export is broken off, beside those where something ends.
const CUTS: usize = 4;

async fn resume(store: &EventStore, path: &Path, keys: bool) -> Result<Exported, ExportError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("a file");
    archive::resume(store, file, keys, |_| {}).await
}

/// Where the members of an archive begin.
fn members(bytes: &[u8]) -> Vec<usize> {
    const MAGIC: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    let starts = bytes.windows(MAGIC.len()).enumerate();
    starts
        .filter(|(_, found)| *found == MAGIC)
        .map(|(at, _)| at)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_broken_off_anywhere_comes_to_the_same_bytes() {
    each_backend(async |log: TestLog| {
        let shelf = Shelf::new();
        let store = log.open().await;
        let vault = Vault::open(&store, &shelf.master_key("master.key"))
            .await
            .expect("opened");
        vault.seal("customer-1", "a name").await.expect("sealed");
        fill(&store, MEMBER_EVENTS + 100).await;
        let whole = shelf.path("whole");
        let exported = export_with(&store, &whole, true).await;
        let wanted = std::fs::read(&whole).expect("read");
        let members = members(&wanted);
        assert_eq!(members.len(), 5, "header, two of events, keys, trailer");
        // What comes later is not in it: an export is of one moment.
        append_one(&store).await.expect("stored");

        let mut dice = dice("broken exports");
        let ends = members[1..].iter().flat_map(|at| [at - 1, *at, at + 1]);
        let anywhere = (0..CUTS).map(|_| dice.usize(members[1]..wanted.len()));
        // A header that is not whole is no header; that is another check.
        let cuts = ends.skip(1).chain(anywhere).chain([wanted.len()]);
        for cut in cuts {
            let broken = shelf.put("broken", &wanted[..cut]);
            let resumed = resume(&store, &broken, true).await.expect("resumed");
            assert_eq!(resumed, exported, "cut at {cut}");
            let bytes = std::fs::read(&broken).expect("read");
            assert!(bytes == wanted, "cut at {cut}");
        }
        // Rubbish at the end, as a full disk or a power failure leaves it, is no more than a cut.
        let mut spoiled = wanted[..members[2] + 50].to_vec();
        spoiled.extend([0; 4_096]);
        let spoiled = shelf.put("spoiled", &spoiled);
        assert_eq!(
            resume(&store, &spoiled, true).await.expect("resumed"),
            exported
        );
        assert!(std::fs::read(&spoiled).expect("read") == wanted);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_had_only_been_begun_starts_over() {
    let shelf = Shelf::new();
    let log = TestLog::sqlite();
    let store = log.open().await;
    fill(&store, 10).await;
    let wanted = export_with(&store, &shelf.path("whole"), false).await;
    let empty = shelf.put("empty", b"");
    assert_eq!(resume(&store, &empty, false).await.expect("begun"), wanted);
    let foreign = shelf.put("foreign", b"something else");
    let refused = resume(&store, &foreign, false).await.expect_err("refused");
    assert!(matches!(refused, ExportError::Archive(_)), "{refused}");
    assert_eq!(std::fs::read(&foreign).expect("read"), b"something else");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_another_log_is_not_continued() {
    each_backend(async |log: TestLog| {
        let shelf = Shelf::new();
        let store = log.open().await;
        fill(&store, MEMBER_EVENTS + 10).await;
        let path = shelf.path("archive");
        export_with(&store, &path, false).await;
        let bytes = std::fs::read(&path).expect("read");
        let broken = shelf.put("broken", &bytes[..bytes.len() - 40]);

        let with_keys = resume(&store, &broken, true).await.expect_err("refused");
        assert!(
            matches!(with_keys, ExportError::OtherKeys { with: false }),
            "{with_keys}"
        );
        let other = TestLog::sqlite();
        let other = other.open().await;
        let refused = resume(&other, &broken, false).await.expect_err("refused");
        assert!(matches!(refused, ExportError::OtherLog { .. }), "{refused}");

        drop(store);
        restore_older_copy(&log, 3_000);
        let older = reader(&log).await;
        let refused = resume(&older, &broken, false).await.expect_err("refused");
        assert!(
            matches!(
                refused,
                ExportError::Log(ReadError::CheckpointMismatch { .. })
            ),
            "{refused}"
        );
        assert_eq!(
            std::fs::read(&broken).expect("read"),
            bytes[..bytes.len() - 40],
            "left as it was"
        );
    })
    .await;
}
