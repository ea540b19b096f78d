//! Where an archive may go, and what happens to those who are there.

use std::time::Duration;

use eventstore::archive::{ImportError, MEMBER_EVENTS};
use eventstore::testing::{TestLog, each_backend};
use eventstore::{AppendError, EventStore, OpenError, Options, Position};

use super::shelf::{Shelf, export, fill, import};
use crate::support::{append_one, whole_log};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_something_else_is_refused_with_the_first_difference_and_stays_as_it_is() {
    let shelf = Shelf::new();
    let path = shelf.path("archive");
    let origin = TestLog::sqlite();
    fill(&origin.open().await, 30).await;
    export(&origin, &path).await;
    each_backend(async |log: TestLog| {
        fill(&log.open().await, 5).await;
        let before = log.open().await.epoch().await.expect("read");
        let refused = import(&path, &log).await.expect_err("refused");
        assert!(
            matches!(
                refused,
                ImportError::OtherLog {
                    position: Position(1),
                    ..
                }
            ),
            "{refused}"
        );
        let store = log.open().await;
        assert_eq!(store.epoch().await.expect("read"), before);
        append_one(&store).await.expect("it goes on");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_behind_is_brought_up_and_one_that_went_its_own_way_is_refused() {
    let shelf = Shelf::new();
    let [early, late] = ["early", "late"].map(|name| shelf.path(name));
    let origin = TestLog::sqlite();
    let store = origin.open().await;
    fill(&store, 10).await;
    export(&origin, &early).await;
    fill(&store, 15).await;
    export(&origin, &late).await;
    each_backend(async |log: TestLog| {
        import(&early, &log).await.expect("imported");
        let brought_up = import(&late, &log).await.expect("imported");
        assert_eq!((brought_up.last, brought_up.added), (Position(25), 15));
        let again = import(&late, &log).await.expect("nothing to do");
        assert_eq!((again.added, again.epoch), (0, None));

        let shorter = import(&early, &log).await.expect_err("refused");
        assert!(
            matches!(
                shorter,
                ImportError::Longer {
                    found: Position(25),
                    wanted: Position(10)
                }
            ),
            "{shorter}"
        );
        let store = log.open().await;
        assert_eq!(whole_log(&store).await.len(), 25);
    })
    .await;
    each_backend(async |log: TestLog| {
        import(&early, &log).await.expect("imported");
        append_one(&log.open().await).await.expect("its own way");
        let refused = import(&late, &log).await.expect_err("refused");
        assert!(
            matches!(
                refused,
                ImportError::OtherLog {
                    position: Position(11),
                    ..
                }
            ),
            "{refused}"
        );
        append_one(&log.open().await).await.expect("it goes on");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_takes_no_import() {
    let shelf = Shelf::new();
    let path = shelf.path("archive");
    let origin = TestLog::postgres();
    fill(&origin.open().await, 5).await;
    export(&origin, &path).await;
    let log = TestLog::sqlite();
    let store = log.open().await;
    let refused = import(&path, &log).await.expect_err("refused");
    assert!(
        matches!(refused, ImportError::Open(OpenError::Locked(_))),
        "{refused}"
    );
    drop(store);
    import(&path, &log).await.expect("imported");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_the_log_open_appends_nothing_until_the_import_is_whole() {
    let shelf = Shelf::new();
    let path = shelf.path("archive");
    let origin = TestLog::sqlite();
    let count = MEMBER_EVENTS + 10;
    fill(&origin.open().await, count).await;
    export(&origin, &path).await;
    let bytes = std::fs::read(&path).expect("read");
    let cut = shelf.put("cut", &bytes[..bytes.len() - 300]);

    let log = TestLog::postgres();
    let options = Options {
        append_deadline: Duration::from_millis(500),
        ..Options::default()
    };
    let open = log.open_with(options).await;
    import(&cut, &log).await.expect_err("cut off");
    for _ in 0..2 {
        is_refused(&open).await;
    }
    // It finds the log as it left it.
    import(&path, &log).await.expect("imported");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut unknown = 0;
    while let Err(error) = append_one(&open).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        unknown += usize::from(matches!(error, AppendError::Unknown));
    }
    let added = whole_log(&open).await.len() - count;
    assert!(
        (1..=1 + unknown).contains(&added),
        "{added}, {unknown} of them perhaps"
    );
}

/// Appends until it is known of an append that nothing was stored. On a busy machine an answer may come too late, but not each.
async fn is_refused(open: &EventStore) {
    for _ in 0..20 {
        match append_one(open).await.expect_err("closed") {
            AppendError::Unavailable(_) => return,
            AppendError::Unknown => {}
            other => panic!("{other}"),
        }
    }
    panic!("nobody ever says that it is not stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_import_at_a_time_goes_into_a_database() {
    let shelf = Shelf::new();
    let path = shelf.path("archive");
    let origin = TestLog::sqlite();
    fill(&origin.open().await, MEMBER_EVENTS).await;
    export(&origin, &path).await;
    let log = TestLog::postgres();
    drop(log.open().await);
    let outcomes = futures_util::future::join_all((0..4).map(|_| import(&path, &log))).await;
    for outcome in &outcomes {
        assert!(
            matches!(outcome, Ok(_) | Err(ImportError::Running)),
            "{outcome:?}"
        );
    }
    assert!(outcomes.iter().any(Result::is_ok));
    assert_eq!(whole_log(&log.open().await).await.len(), MEMBER_EVENTS);
}
