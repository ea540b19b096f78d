//! How fast a log is moved.

use std::path::Path;
use std::time::Instant;

use eventstore::testing::TestLog;
use eventstore::{EventStore, Expected, NewEvent, StreamAppend};
use uuid::Uuid;

use super::shelf::{Shelf, export, import};
use crate::support::{event_with, figures, order, size};

/// Events of the log: small, or with `SOAK=1` a million.
const EVENTS: (usize, usize) = (12_000, 1_000_000);
/// Events of a stream, as an order and what belongs to it have.
const STREAM: usize = 10;
/// Streams that begin in one append.
const STREAMS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_log_is_moved_from_each_database_to_the_other() {
    let shelf = Shelf::new();
    let events = size(EVENTS.0, EVENTS.1);
    let origin = TestLog::sqlite();
    orders(&origin.open().await, events).await;
    let [first, second] = ["first", "second"].map(|name| shelf.path(name));
    let [there, back] = [TestLog::postgres(), TestLog::sqlite()];
    let contents = [
        timed("export", "sqlite", events, &first, async || {
            export(&origin, &first).await.content
        })
        .await,
        timed("import", "postgres", events, &first, async || {
            import(&first, &there).await.expect("imported").content
        })
        .await,
        timed("export", "postgres", events, &second, async || {
            export(&there, &second).await.content
        })
        .await,
        timed("import", "sqlite", events, &second, async || {
            import(&second, &back).await.expect("imported").content
        })
        .await,
    ];
    assert!(
        contents.iter().all(|content| *content == contents[0]),
        "{contents:?}"
    );
}

/// Appends events that are about as long as those of an order, and as much like each other.
async fn orders(store: &EventStore, count: usize) {
    for _ in 0..count / (STREAM * STREAMS) {
        let appends = (0..STREAMS).map(|_| StreamAppend {
            stream: order(),
            expected: Expected::NoStream,
            events: (0..STREAM).map(|_| long_event()).collect(),
        });
        store.append(appends.collect()).await.expect("stored");
    }
}

fn long_event() -> NewEvent {
    let id = Uuid::new_v4();
    let data = format!(
        r#"{{"eventType":"OrderPaid","timestamp":"20261128074807","id":"{id}","orderId":"{id}","customerId":"customer-{:06}","status":"Paid","lines":[{{"bookId":"978{:010}","qty":1,"unitPrice":33000,"title":"Principles: Life and Work"}}],"total":36000,"currency":"KRW"}}"#,
        id.as_u128() % 1_000_000,
        id.as_u128() % 5_000
    );
    event_with("OrderPaid", &data)
}

async fn timed(
    what: &str,
    backend: &str,
    events: usize,
    path: &Path,
    work: impl AsyncFn() -> String,
) -> String {
    let began = Instant::now();
    let content = work().await;
    let seconds = began.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(path).expect("a file").len();
    figures(&format!(
        "archive: what={what} backend={backend} events={events} seconds={seconds:.1} events/s={:.0} bytes/event={:.0}",
        events as f64 / seconds,
        bytes as f64 / events as f64
    ));
    content
}
