//! Connections that break between a commit and its reply, before a request, and in the middle of everything.

use std::time::Duration;

use eventstore::testing::TestDatabase;
use eventstore::{AppendError, EventStore, Expected, Location, Options, Version};
use tokio::sync::oneshot;

use crate::proxy::{Fault, Proxy, server_of};
use crate::support::{figures, order, size, to, whole_log};

async fn through_a_proxy(database: &TestDatabase) -> (Proxy, EventStore) {
    EventStore::migrate(&database.location())
        .await
        .expect("migrated");
    let proxy = Proxy::start(server_of(&database.url())).await;
    let location = Location::postgres(proxy.url(&database.url()));
    let store = EventStore::open(&location, Options::default())
        .await
        .expect("opened");
    (proxy, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_commit_and_before_its_reply_gives_neither_a_duplicate_nor_a_false_conflict()
 {
    let database = TestDatabase::create();
    let (proxy, store) = through_a_proxy(&database).await;
    let rounds = size(20, 200);
    let (known, new) = (order(), order());
    store
        .append(vec![to(&known, Expected::NoStream, 1)])
        .await
        .expect("stored");
    let mut stored = 1;
    for round in 0..rounds {
        proxy.inflict(if round % 4 == 3 {
            Fault::LoseRequest
        } else {
            Fault::LoseReply
        });
        let version = Version(1 + round as i64);
        let streams = match round % 3 {
            0 => vec![
                to(&known, Expected::At(version), 1),
                to(&order(), Expected::NoStream, 2),
            ],
            1 => vec![to(&known, Expected::Any, 1)],
            _ => vec![
                to(&order(), Expected::NoStream, 1),
                to(&known, Expected::Any, 1),
                to(&new, Expected::Any, 1),
            ],
        };
        let count: usize = streams.iter().map(|s| s.events.len()).sum();
        let place = streams
            .iter()
            .position(|s| s.stream == known)
            .expect("the known stream is in each round");
        let appended = store.append(streams).await.expect("settled as stored");
        assert!(!proxy.is_armed(), "the fault was inflicted");
        assert_eq!(
            store.stats().settled,
            round as u64 + 1,
            "round {round}: the outcome was settled by reading"
        );
        assert_eq!(appended.versions[place], version.next());
        assert_eq!(
            (appended.first.0, appended.last.0),
            (stored + 1, stored + count as i64)
        );
        stored += count as i64;
    }
    let stats = store.stats();
    let events = whole_log(&store).await;
    assert_eq!(events.len() as i64, stored);
    assert_eq!(stats.conflicts, 0);
    assert_eq!(stats.settled, rounds as u64);
    figures(&format!(
        "lost replies: rounds={rounds} events={stored} settled={} reconnects={}",
        stats.settled, stats.reconnects
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_conflict_is_still_one_when_its_reply_is_lost() {
    let database = TestDatabase::create();
    let (proxy, store) = through_a_proxy(&database).await;
    let stream = order();
    store
        .append(vec![to(&stream, Expected::NoStream, 2)])
        .await
        .expect("stored");
    proxy.inflict(Fault::LoseReply);
    let refused = store
        .append(vec![to(&stream, Expected::At(Version(1)), 1)])
        .await;
    let (expected, actual) = (Expected::At(Version(1)), Version(2));
    assert_eq!(
        refused,
        Err(AppendError::Conflict {
            stream,
            expected,
            actual
        })
    );
    assert_eq!(whole_log(&store).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_reaches_the_server_after_it_was_settled_is_refused_there() {
    let database = TestDatabase::create();
    let (proxy, store) = through_a_proxy(&database).await;
    let stream = order();
    let (release, held) = oneshot::channel();
    proxy.inflict(Fault::Delay(held));
    // The client sees its connection go, strikes the session off, finds nothing, and sends the same events again.
    store
        .append(vec![to(&stream, Expected::Any, 1)])
        .await
        .expect("stored at the second attempt");
    release.send(()).expect("the request is still held");
    // The old connection ends when its request has been dealt with.
    store.head().await.expect("head");
    wait_for_backends(&database, 2).await;
    assert_eq!(whole_log(&store).await.len(), 1);
}

/// Waits until no more than `most` other connections to the database are open.
async fn wait_for_backends(database: &TestDatabase, most: i64) {
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .expect("connected");
    let connection = tokio::spawn(connection);
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    tokio::time::timeout(Duration::from_secs(10), async {
        while client
            .query_one(sql, &[])
            .await
            .expect("counted")
            .get::<_, i64>(0)
            > most
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the old connection ends");
    connection.abort();
}
