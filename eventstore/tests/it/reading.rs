//! Streams, pages, scans, checkpoints, followers.

use std::time::{Duration, Instant};

use eventstore::testing::{TestLog, each_backend};
use eventstore::{
    Access, Checkpoint, EventStore, Expected, Options, Position, ReadError, RecordedEvent,
    StreamId, Version,
};

use crate::support::{
    ORDER, PAYMENT, append_one, assert_in_order, figures, order, restore_older_copy, size, tamper,
    to, whole_log,
};

async fn scan(
    store: &EventStore,
    after: Checkpoint,
    to: Position,
) -> Result<Vec<RecordedEvent>, ReadError> {
    scan_by(store, after, to, 1).await
}

async fn scan_by(
    store: &EventStore,
    after: Checkpoint,
    to: Position,
    connections: usize,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut scan = store.scan_ahead(after, to, connections);
    let mut events = Vec::new();
    while let Some(page) = scan.next().await {
        events.extend(page?);
    }
    Ok(events)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_by_category_examines_a_bounded_stretch_and_says_where_to_go_on() {
    each_backend(async |log| {
        let store = log.open().await;
        for _ in 0..11 {
            store
                .append(vec![to(&order(), Expected::NoStream, 1_000)])
                .await
                .expect("stored");
        }
        let payment = StreamId::new(PAYMENT, order().id);
        store
            .append(vec![to(&payment, Expected::NoStream, 3)])
            .await
            .expect("stored");

        let first = store
            .read_all(Position::ZERO, 10, Some(&PAYMENT))
            .await
            .expect("read");
        assert_eq!((first.events.len(), first.next), (0, Position(10_000)));
        let second = store
            .read_all(first.next, 2, Some(&PAYMENT))
            .await
            .expect("read");
        assert_eq!((second.events.len(), second.next), (2, Position(11_002)));
        let third = store
            .read_all(second.next, 2, Some(&PAYMENT))
            .await
            .expect("read");
        assert_eq!((third.events.len(), third.next), (1, Position(11_003)));
        let end = store.read_all(third.next, 2, None).await.expect("read");
        assert_eq!((end.events.len(), end.next), (0, Position(11_003)));
        let any = store
            .read_all(Position(5), 7, Some(&ORDER))
            .await
            .expect("read");
        assert_eq!(
            (any.events[0].position, any.next),
            (Position(6), Position(12))
        );

        let stream = store
            .read_stream(&payment, Version(1), 1)
            .await
            .expect("read");
        assert_eq!((stream.len(), stream[0].version), (1, Version(2)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_related_events_than_can_be_folded_is_an_error_not_a_shorter_list() {
    each_backend(async |log| {
        let store = log.open().await;
        let stream = order();
        for _ in 0..10 {
            store
                .append(vec![to(&stream, Expected::Any, 1_000)])
                .await
                .expect("stored");
        }
        assert_eq!(
            store.read_related(stream.id).await.expect("read").len(),
            eventstore::RELATED_MAX
        );
        store
            .append(vec![to(
                &StreamId::new(PAYMENT, stream.id),
                Expected::Any,
                1,
            )])
            .await
            .expect("stored");
        let refused = store.read_related(stream.id).await.expect_err("too many");
        assert_eq!(
            refused,
            ReadError::TooManyRelated {
                id: stream.id,
                limit: eventstore::RELATED_MAX
            }
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_gives_the_same_events_as_pages_from_any_checkpoint_to_any_position() {
    each_backend(async |log| {
        let store = log.open().await;
        let appends = size(25, 500);
        for _ in 0..appends {
            store
                .append(vec![
                    to(&order(), Expected::NoStream, 999),
                    to(&order(), Expected::Any, 1),
                ])
                .await
                .expect("stored");
        }
        let paged = whole_log(&store).await;
        let started = Instant::now();
        let scanned = scan(&store, Checkpoint::START, Position(i64::MAX))
            .await
            .expect("scanned");
        let rate = scanned.len() as f64 / started.elapsed().as_secs_f64();
        figures(&format!(
            "scan: backend={} events={} rate={rate:.0}/s",
            store.backend_name(),
            scanned.len()
        ));
        assert_in_order(&scanned);
        assert_eq!(scanned.len(), paged.len());
        for (scanned, paged) in scanned.iter().zip(&paged) {
            assert_eq!(format!("{scanned:?}"), format!("{paged:?}"));
        }
        let middle = paged[1_233].checkpoint();
        let some = scan(&store, middle, Position(1_500))
            .await
            .expect("scanned");
        assert_eq!(
            (some[0].position, some.len()),
            (Position(1_235), 1_500 - 1_234)
        );
        assert!(
            scan(&store, middle, middle.position)
                .await
                .expect("scanned")
                .is_empty()
        );
        for connections in [2, 3, 5] {
            for (after, to) in [
                (Checkpoint::START, Position(i64::MAX)),
                (middle, Position(9_876)),
                (middle, middle.position),
                (paged[8_000].checkpoint(), Position(8_002)),
            ] {
                let by_several = scan_by(&store, after, to, connections);
                let by_several = by_several.await.expect("scanned");
                let positions = by_several.iter().map(|event| event.position.0);
                let last = to.0.min(paged.len() as i64);
                assert!(positions.eq(after.position.0 + 1..=last), "{connections}");
            }
        }
        drop(store.scan(Checkpoint::START, Position(i64::MAX)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_replaced_by_an_older_copy_stops_its_readers_loudly() {
    each_backend(async |log| {
        let store = log.open().await;
        for _ in 0..20 {
            append_one(&store).await.expect("stored");
        }
        let checkpoint = whole_log(&store).await[14].checkpoint();
        assert_eq!(
            store.read_page(&checkpoint, 100).await.expect("read").len(),
            5
        );
        drop(store);

        restore_older_copy(&log, 10);
        let store = log.open().await;
        let shorter = store
            .read_page(&checkpoint, 100)
            .await
            .expect_err("the log is shorter");
        assert_eq!(
            shorter,
            ReadError::CheckpointMismatch {
                checkpoint,
                found: None
            }
        );
        for _ in 0..10 {
            append_one(&store).await.expect("stored");
        }
        let other = whole_log(&store).await[14].event_id;
        let reused = store
            .read_page(&checkpoint, 100)
            .await
            .expect_err("the position holds another event");
        let mismatch = ReadError::CheckpointMismatch {
            checkpoint,
            found: Some(other),
        };
        assert_eq!(reused, mismatch);
        assert_eq!(
            scan(&store, checkpoint, Position(20))
                .await
                .expect_err("so says a scan"),
            mismatch
        );
    })
    .await;
}

/// Within this after its append a reader has to be awake. A reader that is not woken looks for itself, but not before twice as long.
const AWAKE_WITHIN: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_woken_within_50_ms_of_every_append() {
    each_backend(async |log| {
        let store = log.open().await;
        let machine = Machine::watch();
        let mut delays = Vec::new();
        for _ in 0..40 {
            let (reader, seen) = (store.clone(), store.head().await.expect("head"));
            let waiting = tokio::spawn(async move {
                let head = reader
                    .wait_past(seen, Duration::from_secs(5))
                    .await
                    .expect("waited");
                (head, Instant::now())
            });
            tokio::task::yield_now().await;
            let appended = append_one(&store).await.expect("stored");
            let stored = Instant::now();
            let (head, woken) = waiting.await.expect("ran");
            assert_eq!(head, appended.last);
            let delay = woken.saturating_duration_since(stored);
            let late = machine.late_between(stored, woken).await;
            delays.push((delay, late));
        }
        delays.sort();
        let (median, worst) = (delays[delays.len() / 2], delays[delays.len() - 1]);
        figures(&format!(
            "wake-up: backend={} median={:?} worst={:?} of-which-machine={:?}",
            store.backend_name(),
            median.0,
            worst.0,
            worst.1
        ));
        let too_late = |(delay, late): &&(Duration, Duration)| *delay > AWAKE_WITHIN + *late;
        assert_eq!(delays.iter().find(too_late), None, "{delays:?}");
    })
    .await;
}

/// How late the machine itself is: a task beside those that are measured does nothing but sleep for a millisecond again and again. What
/// its sleeps take longer than that, everybody who was to be woken meanwhile had to wait as well, whatever wakes them.
struct Machine(tokio::sync::watch::Receiver<Vec<(Instant, Instant)>>);

impl Machine {
    const TICK: Duration = Duration::from_millis(1);

    /// Until it is dropped.
    fn watch() -> Self {
        let (ticks, machine) = tokio::sync::watch::channel(Vec::new());
        tokio::spawn(async move {
            while !ticks.is_closed() {
                let began = Instant::now();
                tokio::time::sleep(Machine::TICK).await;
                ticks.send_modify(|ticks| ticks.push((began, Instant::now())));
            }
        });
        Machine(machine)
    }

    /// By how much, in all of its sleeps that reach into this time.
    async fn late_between(&self, from: Instant, to: Instant) -> Duration {
        let mut ticks = self.0.clone();
        let past = ticks.wait_for(|ticks| ticks.last().is_some_and(|(began, _)| *began >= to));
        let ticks = past.await.expect("it goes on");
        // A timer of the runtime goes by whole milliseconds, and may begin within one.
        let lengths = ticks
            .iter()
            .filter(|(began, ended)| *ended > from && *began < to);
        lengths
            .map(|(began, ended)| (*ended - *began).saturating_sub(2 * Machine::TICK))
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_progresses_without_any_hint() {
    each_backend(async |log| {
        let writer = log.open().await;
        // Another handle gets no wake-ups from the writer's, just as another process would not.
        let access = if matches!(log, TestLog::Sqlite(_)) {
            Access::ReadOnly
        } else {
            Access::Write
        };
        let options = Options {
            access,
            ..Options::default()
        };
        let reader = EventStore::open(&log.location(), options)
            .await
            .expect("opened beside the writer");
        let appended = append_one(&writer).await.expect("stored");
        let head = reader
            .wait_past(Position::ZERO, Duration::from_secs(5))
            .await
            .expect("waited");
        assert_eq!(head, appended.last);
        let timed_out = reader
            .wait_past(head, Duration::from_millis(20))
            .await
            .expect("waited");
        assert_eq!(timed_out, head, "a time-out gives what is known");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_position_recorded_by_a_moment_is_found_also_where_the_clock_has_stepped_back() {
    each_backend(async |log| {
        let store = log.open().await;
        assert_eq!(found(&store, chrono::Utc::now()).await, Position::ZERO);
        for _ in 0..4 {
            append_one(&store).await.expect("stored");
        }
        let events = whole_log(&store).await;
        for event in &events {
            let at = event.recorded_at;
            let last = events.iter().rfind(|other| other.recorded_at <= at);
            assert_eq!(found(&store, at).await, last.expect("itself").position);
        }
        let before = events[0].recorded_at - Duration::from_micros(1);
        assert_eq!(found(&store, before).await, Position::ZERO);
        let step_back = match &log {
            TestLog::Postgres(_) => {
                "ALTER TABLE events DISABLE TRIGGER events_append_only;
                 UPDATE events SET recorded_at = recorded_at - interval '1 day' WHERE position = 3"
            }
            TestLog::Sqlite(_) => {
                "DROP TRIGGER events_no_update;
                 UPDATE events SET recorded_at = recorded_at - 86400000000 WHERE position = 3"
            }
        };
        tamper(&log, step_back).expect("stepped back");
        assert_eq!(found(&store, events[0].recorded_at).await, Position(3));
    })
    .await;
}

async fn found(store: &EventStore, moment: chrono::DateTime<chrono::Utc>) -> Position {
    store.last_recorded_by(moment).await.expect("read")
}
