//! Appends that travel in one group commit.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use eventstore::testing::{TestLog, each_backend, queued};
use eventstore::{
    AppendError, EventStore, Expected, InvalidEvent, Options, Position, StreamAppend, StreamId,
    Version, WriterState,
};
use futures_util::future::join_all;

use crate::support::{append_one, dice, event_with, order, size, tamper, to, whole_log};

/// Appends that are waited for at once where others are dropped beside them.
const WAITED: usize = 50;

/// Keeps every appender of a log from committing until dropped.
enum Hold {
    Postgres(tokio_postgres::Client, tokio::task::JoinHandle<()>),
    Sqlite(rusqlite::Connection),
}

impl Hold {
    async fn on(log: &TestLog) -> Hold {
        match log {
            TestLog::Postgres(database) => {
                let (client, connection) =
                    tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
                        .await
                        .expect("connected");
                let driver = tokio::spawn(async move { drop(connection.await) });
                client
                    .batch_execute("BEGIN; SELECT FROM log_head FOR UPDATE")
                    .await
                    .expect("held");
                Hold::Postgres(client, driver)
            }
            TestLog::Sqlite(dir) => {
                let connection =
                    rusqlite::Connection::open(dir.path().join("events.db")).expect("opened");
                connection.execute_batch("BEGIN IMMEDIATE").expect("held");
                Hold::Sqlite(connection)
            }
        }
    }

    async fn release(self) {
        match self {
            Hold::Postgres(client, driver) => {
                client.batch_execute("COMMIT").await.expect("released");
                driver.abort();
            }
            Hold::Sqlite(connection) => connection.execute_batch("COMMIT").expect("released"),
        }
    }
}

/// Starts a first append that gets stuck, so that what follows gathers behind it in one batch.
async fn occupy(
    store: &EventStore,
) -> tokio::task::JoinHandle<Result<eventstore::Appended, AppendError>> {
    let occupying = store.clone();
    let stuck = tokio::spawn(async move { append_one(&occupying).await });
    while !store.stats().busy {
        tokio::task::yield_now().await;
    }
    stuck
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_in_a_batch_fails_alone_also_between_two_appends_of_one_batch() {
    each_backend(async |log| {
        let store = log.open().await;
        let old = order();
        store
            .append(vec![to(&old, Expected::NoStream, 2)])
            .await
            .expect("stored");
        let before = store.stats().commits;
        let hold = Hold::on(&log).await;
        let stuck = occupy(&store).await;
        let (a, b) = (order(), order());
        let appends = join_all([
            store.append(vec![to(&a, Expected::NoStream, 1)]),
            store.append(vec![
                to(&b, Expected::NoStream, 1),
                to(&a, Expected::NoStream, 1),
            ]),
            store.append(vec![to(&old, Expected::At(Version(1)), 1)]),
            store.append(vec![
                to(&a, Expected::At(Version(1)), 2),
                to(&b, Expected::NoStream, 1),
            ]),
            store.append(vec![
                to(&a, Expected::Any, 1),
                to(&old, Expected::At(Version(2)), 1),
            ]),
            store.append(vec![
                to(&old, Expected::At(Version(3)), 0),
                to(&b, Expected::At(Version(1)), 1),
            ]),
        ]);
        let release = async {
            // `join!` has polled the appends once by now, so they are all queued.
            hold.release().await;
        };
        let (outcomes, ()) = tokio::join!(appends, release);
        stuck.await.expect("ran").expect("stored");
        assert_eq!(
            store.stats().commits - before,
            2,
            "the six travelled together"
        );

        let conflict = |stream: &StreamId, expected, actual| {
            Err(AppendError::Conflict {
                stream: stream.clone(),
                expected,
                actual: Version(actual),
            })
        };
        let versions: Vec<_> = outcomes
            .into_iter()
            .map(|o| o.map(|appended| appended.versions))
            .collect();
        assert_eq!(versions[0], Ok(vec![Version(1)]));
        assert_eq!(versions[1], conflict(&a, Expected::NoStream, 1));
        assert_eq!(versions[2], conflict(&old, Expected::At(Version(1)), 2));
        assert_eq!(versions[3], Ok(vec![Version(3), Version(1)]));
        assert_eq!(versions[4], Ok(vec![Version(4), Version(3)]));
        assert_eq!(versions[5], Ok(vec![Version(3), Version(2)]));
        assert_eq!(whole_log(&store).await.len(), 2 + 1 + 1 + 3 + 2 + 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_the_database_refuses_fails_alone() {
    each_backend(async |log| {
        let store = log.open().await;
        let refuse = match &log {
            TestLog::Postgres(_) => {
                "ALTER TABLE events ADD CONSTRAINT no_poison CHECK (data->>'poison' IS NULL)"
            }
            TestLog::Sqlite(_) => {
                "CREATE TRIGGER no_poison BEFORE INSERT ON events WHEN NEW.data LIKE '%poison%' \
                 BEGIN SELECT RAISE(ABORT, 'poison'); END"
            }
        };
        tamper(&log, refuse).expect("the constraint is there");
        let hold = Hold::on(&log).await;
        let stuck = occupy(&store).await;
        let mut poisoned = to(&order(), Expected::NoStream, 1);
        poisoned
            .events
            .push(event_with("Ordered", r#"{"poison":1}"#));
        let appends = join_all([
            store.append(vec![to(&order(), Expected::NoStream, 1)]),
            store.append(vec![poisoned]),
            store.append(vec![to(&order(), Expected::NoStream, 1)]),
        ]);
        let release = async {
            // `join!` has polled the appends once by now, so they are all queued.
            hold.release().await;
        };
        let (outcomes, ()) = tokio::join!(appends, release);
        stuck.await.expect("ran").expect("stored");
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
        assert!(
            matches!(
                outcomes[1],
                Err(AppendError::Invalid(InvalidEvent::Refused { .. }))
            ),
            "{outcomes:?}"
        );
        assert_eq!(whole_log(&store).await.len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_gets_no_answer_in_time_is_unknown_if_it_was_sent_and_not_stored_if_it_was_not()
 {
    each_backend(async |log| {
        let options = Options {
            append_deadline: Duration::from_millis(300),
            ..Options::default()
        };
        let store = log.open_with(options).await;
        let hold = Hold::on(&log).await;
        let stuck = occupy(&store).await;
        let queued = append_one(&store).await;
        assert!(
            matches!(queued, Err(AppendError::Unavailable(_))),
            "{queued:?}"
        );
        let sent = stuck.await.expect("ran");
        hold.release().await;
        while append_one(&store).await.is_err() {}
        let stored = whole_log(&store).await.len();
        match (&log, sent) {
            (TestLog::Postgres(_), Err(AppendError::Unknown)) => {
                assert!(stored <= 2, "the one that was sent is there at most once")
            }
            // The thread could not begin its transaction, so it knows that nothing was stored.
            (TestLog::Sqlite(_), Err(AppendError::Unavailable(_))) => assert_eq!(stored, 1),
            (_, other) => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_append_future_neither_corrupts_nor_leaks() {
    each_backend(async |log| {
        let store = log.open().await;
        let mut dice = dice("dropped appends");
        let rounds = size(10_000, 50_000);
        let (mut unsent, mut sent, mut kept) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut waited = Vec::new();
        for round in 0..rounds {
            let stream = order();
            let (one, appending) = (to(&stream, Expected::NoStream, 1), store.clone());
            let append = async move { appending.append(vec![one]).await };
            match round % 4 {
                // Never polled: never sent.
                0 => {
                    drop(append);
                    unsent.insert(stream);
                    continue;
                }
                1 => {
                    // Polled once: queued, and its caller gone.
                    let mut append = Box::pin(append);
                    drop(futures_util::poll!(append.as_mut()));
                }
                2 => drop(
                    tokio::time::timeout(Duration::from_micros(dice.u64(0..200)), append).await,
                ),
                _ => {
                    waited.push(tokio::spawn(append));
                    kept.insert(stream.clone());
                }
            }
            sent.insert(stream);
            if waited.len() == WAITED {
                for append in waited.drain(..) {
                    append.await.expect("ran").expect("stored");
                }
            }
        }
        for append in waited {
            append.await.expect("ran").expect("stored");
        }
        append_one(&store).await.expect("appends still work");
        let rests = async {
            while store.writer_state() != WriterState::Idle || queued(&store) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let at_rest = tokio::time::timeout(Duration::from_secs(30), rests).await;
        at_rest.expect("nothing that was dropped is left in the queue");
        let events = whole_log(&store).await;
        let stored: HashSet<_> = events.iter().map(|event| event.stream.clone()).collect();
        assert!(kept.is_subset(&stored), "whoever waited has it stored");
        assert!(stored.is_disjoint(&unsent), "nothing unsent is stored");
        assert!(stored.len() <= sent.len() + 1, "each at most once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_any_mix_gives_what_the_same_appends_would_have_given_one_by_one() {
    each_backend(async |log| {
        let store = log.open().await;
        let mut dice = dice("any mix");
        let streams: Vec<_> = (0..6).map(|_| order()).collect();
        let mut versions: HashMap<&StreamId, i64> =
            streams.iter().map(|stream| (stream, 0)).collect();
        let mut head = 0;
        for _ in 0..size(10, 100) {
            let hold = Hold::on(&log).await;
            let stuck = occupy(&store).await;
            head += 1;
            let appends: Vec<_> = (0..60)
                .map(|_| any_append(&mut dice, &streams, &versions))
                .collect();
            let expected: Vec<_> = appends
                .iter()
                .map(|append| one_by_one(append, &mut versions, &mut head))
                .collect();
            let outcomes = join_all(appends.into_iter().map(|append| store.append(append)));
            let release = async {
                hold.release().await;
            };
            let (outcomes, ()) = tokio::join!(outcomes, release);
            stuck.await.expect("ran").expect("stored");
            let outcomes: Vec<_> = outcomes
                .into_iter()
                .map(|o| o.map(|a| (a.first, a.last, a.versions)))
                .collect();
            assert_eq!(outcomes, expected);
        }
        let events = whole_log(&store).await;
        assert_eq!(events.len() as i64, head);
        for (stream, version) in versions {
            assert_eq!(
                events
                    .iter()
                    .filter(|event| event.stream == *stream)
                    .count() as i64,
                version
            );
        }
    })
    .await;
}

/// An append to one to three of the streams, with an expectation that is often right and sometimes was right a moment ago.
fn any_append(
    dice: &mut fastrand::Rng,
    streams: &[StreamId],
    versions: &HashMap<&StreamId, i64>,
) -> Vec<StreamAppend> {
    let first = dice.usize(0..streams.len());
    let entries = (0..dice.usize(1..4)).map(|nth| &streams[(first + nth) % streams.len()]);
    let mut entry = |stream| {
        let expected = match dice.u8(0..4) {
            0 | 1 => Expected::Any,
            2 => Expected::At(Version(versions[stream] + dice.i64(0..3))),
            _ => Expected::NoStream,
        };
        to(stream, expected, dice.usize(1..4))
    };
    let entries: Vec<_> = entries.collect();
    entries.into_iter().map(&mut entry).collect()
}

/// What an append gives when nothing else is under way.
fn one_by_one(
    append: &[StreamAppend],
    versions: &mut HashMap<&StreamId, i64>,
    head: &mut i64,
) -> Result<(Position, Position, Vec<Version>), AppendError> {
    for entry in append {
        let actual = Version(versions[&entry.stream]);
        if entry
            .expected
            .version()
            .is_some_and(|expected| expected != actual)
        {
            let (stream, expected) = (entry.stream.clone(), entry.expected);
            return Err(AppendError::Conflict {
                stream,
                expected,
                actual,
            });
        }
    }
    let first = Position(*head + 1);
    for entry in append {
        let count = entry.events.len() as i64;
        *head += count;
        *versions.get_mut(&entry.stream).expect("a known stream") += count;
    }
    let left_at = append
        .iter()
        .map(|entry| Version(versions[&entry.stream]))
        .collect();
    Ok((first, Position(*head), left_at))
}
