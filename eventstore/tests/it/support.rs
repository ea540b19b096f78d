//! What the checks share.

use std::borrow::Cow;
use std::io::Write as _;

use eventstore::testing::TestLog;
use eventstore::{
    AppendError, Appended, Category, Checkpoint, EventStore, Expected, NewEvent, Position,
    RecordedEvent, StreamAppend, StreamId,
};
use serde_json::value::RawValue;
use uuid::Uuid;

pub(crate) const ORDER: Category = Category::from_static("order");
pub(crate) const PAYMENT: Category = Category::from_static("payment");

/// Most events in one page of a check that walks the log.
const PAGE: usize = 500;

pub(crate) fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

pub(crate) fn event(event_type: &'static str) -> NewEvent {
    event_with(event_type, r#"{"orderId":"o-1","qty":2}"#)
}

pub(crate) fn event_with(event_type: &'static str, data: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: Cow::Borrowed(event_type),
        schema_version: 1,
        data: json(data),
        metadata: json(r#"{"actor":"test"}"#),
    }
}

pub(crate) fn order() -> StreamId {
    StreamId::new(ORDER, Uuid::now_v7())
}

pub(crate) fn to(stream: &StreamId, expected: Expected, count: usize) -> StreamAppend {
    let events = (0..count).map(|_| event("Ordered")).collect();
    StreamAppend {
        stream: stream.clone(),
        expected,
        events,
    }
}

/// Appends one event to a new stream.
pub(crate) async fn append_one(store: &EventStore) -> Result<Appended, AppendError> {
    store
        .append(vec![to(&order(), Expected::NoStream, 1)])
        .await
}

/// Everything in the log, read page by page; checks on the way that positions have no gap and versions no inversion.
pub(crate) async fn whole_log(store: &EventStore) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events
            .last()
            .map_or(Checkpoint::START, RecordedEvent::checkpoint);
        let page = store.read_page(&after, PAGE).await.expect("a page");
        if page.is_empty() {
            assert_in_order(&events);
            return events;
        }
        events.extend(page);
    }
}

/// Positions are 1..n and the versions of every stream are 1..k, in the order of positions.
pub(crate) fn assert_in_order(events: &[RecordedEvent]) {
    let mut versions = std::collections::HashMap::new();
    for (nth, event) in events.iter().enumerate() {
        assert_eq!(
            event.position,
            Position(nth as i64 + 1),
            "positions are dense"
        );
        let version = versions.entry(&event.stream).or_insert(0);
        *version += 1;
        assert_eq!(
            event.version.0, *version,
            "versions of {} come in order",
            event.stream
        );
    }
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), events.len(), "no event is stored twice");
}

/// Runs SQL in the database behind a log, past the store.
pub(crate) fn tamper(log: &TestLog, sql: &str) -> Result<(), String> {
    match log {
        TestLog::Postgres(database) => database.try_execute(sql),
        TestLog::Sqlite(dir) => {
            let connection = rusqlite::Connection::open(dir.path().join("events.db"))
                .map_err(|e| e.to_string())?;
            connection.execute_batch(sql).map_err(|e| e.to_string())
        }
    }
}

/// Takes the last events away, as if an older copy had been put in place of the log.
pub(crate) fn restore_older_copy(log: &TestLog, last: i64) {
    let unlock = match log {
        TestLog::Postgres(_) => "ALTER TABLE events DISABLE TRIGGER events_append_only;",
        TestLog::Sqlite(_) => "DROP TRIGGER events_no_delete;",
    };
    let sql = format!(
        "{unlock} DELETE FROM events WHERE position > {last}; UPDATE log_head SET position = {last};"
    );
    tamper(log, &sql).expect("the older copy is in place");
}

/// What every check that leaves something to chance draws from.
const SEED: u64 = 20_260_818;

/// The dice of a check: the same in every run, and named in its output.
#[expect(clippy::print_stdout, reason = "names the seed where a test fails")]
pub(crate) fn dice(check: &str) -> fastrand::Rng {
    println!("{check}: seed {SEED}");
    fastrand::Rng::with_seed(SEED)
}

/// Full figures instead of about a tenth of them.
pub(crate) fn soak() -> bool {
    std::env::var_os("SOAK").is_some_and(|value| value == "1")
}

/// One of two sizes of a check.
pub(crate) fn size(usual: usize, soak_size: usize) -> usize {
    if soak() { soak_size } else { usual }
}

/// Prints a line of figures, past the capture of the test harness and apart from what that has begun to say.
pub(crate) fn figures(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nfigure: {line}\n").as_bytes())
        .expect("standard output takes a line");
}
