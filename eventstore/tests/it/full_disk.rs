//! A log without room.

use eventstore::testing::{TestLog, limit_pages};
use eventstore::{AppendError, Options, Version};

use crate::support::{append_one, order, tamper, to, whole_log};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_embedded_log_refuses_appends_until_there_is_room_and_loses_none_that_it_acknowledged()
 {
    let log = TestLog::sqlite();
    let store = log
        .open_with(Options {
            max_page_count: Some(64),
            ..Options::default()
        })
        .await;
    let mut acknowledged = 0;
    let error = loop {
        match append_one(&store).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Full(_)), "{error:?}");
    assert!(
        matches!(append_one(&store).await, Err(AppendError::Full(_))),
        "still full"
    );
    assert_eq!(whole_log(&store).await.len(), acknowledged, "reads go on");
    assert!(store.stats().full >= 2);

    limit_pages(&store, 10_000).await;
    append_one(&store).await.expect("there is room again");
    assert_eq!(whole_log(&store).await.len(), acknowledged + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_appends_until_there_is_room() {
    let log = TestLog::postgres();
    let store = log.open().await;
    let stream = order();
    store
        .append(vec![to(&stream, eventstore::Expected::NoStream, 1)])
        .await
        .expect("stored");
    let fill = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$; \
                CREATE TRIGGER no_room BEFORE INSERT ON events EXECUTE FUNCTION no_room()";
    tamper(&log, fill).expect("filled");
    assert!(matches!(
        append_one(&store).await,
        Err(AppendError::Full(_))
    ));
    tamper(&log, "DROP TRIGGER no_room ON events").expect("emptied");
    let appended = store
        .append(vec![to(&stream, eventstore::Expected::At(Version(1)), 1)])
        .await;
    appended.expect("there is room again");
    assert_eq!(whole_log(&store).await.len(), 2);
}
