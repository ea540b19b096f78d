//! A server that is stopped without warning and started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use eventstore::{AppendError, EventStore, Options};
use uuid::Uuid;

use crate::server::Server;
use crate::support::{append_one, figures, order, size, to, whole_log};

/// What the callers of one run were told.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    stored: std::sync::Mutex<Vec<Uuid>>,
    unknown: AtomicUsize,
    unavailable: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Appends that a stop has met on their way: their outcome had to be looked up, or was never known.
fn in_flight(tally: &Tally, store: &EventStore) -> usize {
    let settled = usize::try_from(store.stats().settled).expect("a count");
    settled + tally.unknown.load(Ordering::Relaxed)
}

async fn keep_appending(store: EventStore, tally: Arc<Tally>) {
    while !tally.stop.load(Ordering::Relaxed) {
        let append = to(&order(), eventstore::Expected::NoStream, 1);
        let id = append.events[0].event_id;
        match store.append(vec![append]).await {
            Ok(_) => tally.stored.lock().expect("the lock").push(id),
            Err(AppendError::Unknown) => count(&tally.unknown),
            Err(AppendError::Unavailable(_)) => count(&tally.unavailable),
            Err(other) => panic!("a restart is no reason for {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stopped_at_once_and_restarted_under_load_loses_nothing_and_is_found_again() {
    let (server, location) = Server::start().await;
    EventStore::migrate(&location).await.expect("migrated");
    let store = EventStore::open(&location, Options::default())
        .await
        .expect("opened");
    let tally = Arc::new(Tally::default());
    let callers: Vec<_> = (0..32)
        .map(|_| tokio::spawn(keep_appending(store.clone(), Arc::clone(&tally))))
        .collect();
    let wanted = size(2, 10);
    let mut restarts = 0;
    // A stop that meets nothing in flight shows little: until one did, there is another.
    while restarts < wanted || (in_flight(&tally, &store) == 0 && restarts < 2 * wanted) {
        restarts += 1;
        let enough = tally.stored.lock().expect("the lock").len() + 500;
        while tally.stored.lock().expect("the lock").len() < enough {
            store
                .wait_past(
                    store.head().await.expect("head"),
                    std::time::Duration::from_secs(1),
                )
                .await
                .expect("waited");
        }
        server.command(&["stop", "immediate"]).await;
        server.command(&["start"]).await;
        append_one(&store)
            .await
            .expect("the same handle finds the server again");
    }
    tally.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("a caller finishes");
    }
    let events: std::collections::HashSet<_> = whole_log(&store)
        .await
        .iter()
        .map(|event| event.event_id)
        .collect();
    let stored = tally.stored.lock().expect("the lock").clone();
    let lost = stored.iter().filter(|id| !events.contains(id)).count();
    let stats = store.stats();
    figures(&format!(
        "restarts: stops={restarts} acknowledged={} in-log={} lost={lost} unknown={} unavailable={} settled={} reconnects={}",
        stored.len(),
        events.len(),
        tally.unknown.load(Ordering::Relaxed),
        tally.unavailable.load(Ordering::Relaxed),
        stats.settled,
        stats.reconnects
    ));
    assert_eq!(lost, 0, "acknowledged and gone");
    assert!(
        in_flight(&tally, &store) > 0,
        "no append was under way at any of {restarts} stops"
    );
}
