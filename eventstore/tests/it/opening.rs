//! Opening and migrating: what is refused, and how clearly.

use std::time::Duration;

use eventstore::testing::{TestDatabase, TestLog, each_backend};
use eventstore::{Access, AppendError, EventStore, Location, OpenError, Options, WriterState};

use crate::server::{PATIENCE, Server, administrator};
use crate::support::{append_one, tamper};

async fn refusal(location: &Location) -> OpenError {
    EventStore::open(location, Options::default())
        .await
        .expect_err("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_tables_asks_for_the_migrations() {
    each_backend(async |log| {
        assert!(matches!(
            refusal(&log.location()).await,
            OpenError::NotMigrated {
                applied: 0,
                needed: 2
            }
        ));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_needs_a_newer_build_is_refused_and_left_alone() {
    each_backend(async |log| {
        drop(log.open().await);
        tamper(&log, "UPDATE log_schema SET oldest_binary = 7").expect("moved on");
        let location = log.location();
        assert!(matches!(
            refusal(&location).await,
            OpenError::BinaryTooOld {
                required: 7,
                this: 1
            }
        ));
        let migrated = EventStore::migrate(&location).await.expect_err("refused");
        assert!(
            matches!(migrated, OpenError::BinaryTooOld { .. }),
            "{migrated}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_that_still_allows_this_build_is_opened() {
    each_backend(async |log| {
        drop(log.open().await);
        let newer = "INSERT INTO eventstore_migrations (version, name, applied_on, checksum) \
                     VALUES (99, 'expand', '2026-11-22T00:00:00Z', '1')";
        tamper(&log, newer).expect("moved on");
        append_one(&log.open().await).await.expect("stored");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_acknowledges_before_the_data_is_safe_is_refused() {
    let database = TestDatabase::create();
    EventStore::migrate(&database.location())
        .await
        .expect("migrated");
    let name = database
        .url()
        .rsplit('/')
        .next()
        .expect("a name")
        .to_owned();
    database
        .try_execute(&format!(
            "ALTER DATABASE {name} SET synchronous_commit = off"
        ))
        .expect("set");
    let refused = refusal(&database.location()).await;
    assert!(
        matches!(
            refused,
            OpenError::NotDurable {
                setting: "synchronous_commit",
                ..
            }
        ),
        "{refused}"
    );
    let options = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let reader = EventStore::open(&database.location(), options)
        .await
        .expect_err("refused too");
    assert!(matches!(reader, OpenError::NotDurable { .. }), "{reader}");
    database
        .try_execute(&format!("ALTER DATABASE {name} RESET synchronous_commit"))
        .expect("reset");
    database
        .try_execute(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ))
        .expect("set");
    assert!(matches!(
        refusal(&database.location()).await,
        OpenError::ReadOnly
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_wait_for_its_disk_is_refused() {
    let (server, location) = Server::start().await;
    EventStore::migrate(&location).await.expect("migrated");
    let client = administrator(&location).await;
    for unsafe_setting in ["fsync", "full_page_writes"] {
        for (value, is_refused) in [("off", true), ("on", false)] {
            let set = format!("ALTER SYSTEM SET {unsafe_setting} = {value}");
            client.batch_execute(&set).await.expect("set");
            let reload = "SELECT pg_reload_conf()";
            client.batch_execute(reload).await.expect("reloaded");
            let refused = async || {
                let opened = EventStore::open(&location, Options::default()).await;
                matches!(opened, Err(OpenError::NotDurable { setting, .. }) if setting == unsafe_setting)
            };
            // A reload takes effect in its own time.
            let seen = async {
                while refused().await != is_refused {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let seen = tokio::time::timeout(PATIENCE, seen).await;
            seen.unwrap_or_else(|_| panic!("{unsafe_setting} = {value}"));
        }
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_url_and_an_unreachable_server_are_told_apart_and_show_no_password() {
    for (url, is_url) in [
        ("postgres://me:s3cret@127.0.0.1:1/x", false),
        ("postgres://me:s3cret@127.0.0.1:notaport/x", true),
        ("postgres://me:s3cret@127.0.0.1/x?nonsense=1", true),
    ] {
        let error = refusal(&Location::postgres(url)).await;
        assert_eq!(matches!(error, OpenError::Url(_)), is_url, "{error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_opened_for_reading_takes_no_appends() {
    each_backend(async |log: TestLog| {
        let writer = log.open().await;
        let epoch = writer.epoch().await.expect("epoch");
        let options = Options {
            access: Access::ReadOnly,
            ..Options::default()
        };
        let store = EventStore::open(&log.location(), options)
            .await
            .expect("opened");
        assert!(matches!(
            append_one(&store).await,
            Err(AppendError::Unavailable(_))
        ));
        assert_eq!(store.writer_state(), WriterState::None);
        let appended = append_one(&writer).await.expect("stored beside it");
        assert_eq!(store.head().await.expect("read"), appended.last);
        assert_eq!(store.epoch().await.expect("epoch"), epoch);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_tells_its_server_its_clock_and_its_schema() {
    each_backend(async |log: TestLog| {
        let store = log.open().await;
        let before = chrono::Utc::now();
        let about = store.about().await.expect("told");
        assert!(about.server.contains("QL"), "{}", about.server);
        // Both run on this machine; a database keeps microseconds.
        let about_now = before - chrono::Duration::milliseconds(1)..=chrono::Utc::now();
        assert!(about_now.contains(&about.now), "{about_now:?} {about:?}");
        assert_eq!(about.schema.version, 2);
        tamper(&log, "UPDATE log_schema SET oldest_binary = 7").expect("moved on");
        let later = store.about().await.expect("told").schema;
        assert_eq!((later.oldest_binary, later.this_binary), (7, 1));
    })
    .await;
}
