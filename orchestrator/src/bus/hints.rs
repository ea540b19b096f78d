//! Tells other processes that the log has grown, so that their readers need not wait for their next look. Over plain NATS: a hint that
//! is lost costs a reader a tenth of a second.

use std::time::Duration;

use eventstore::{EventStore, Position};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Broker;

/// Where hints go. The text of one is how far the log reaches.
pub const SUBJECT: &str = "bookmarket.hints.log";

/// Between two hints, and between two looks because of them: however busy the log is, this bounds what telling and looking cost.
const PACE: Duration = Duration::from_millis(5);

/// A client that cannot even queue a hint is not waited for.
const QUEUED_WITHIN: Duration = Duration::from_secs(1);

/// Between two tries to listen.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Tells of this process's own appends, until it is told to stop.
pub async fn announce(store: EventStore, broker: Broker, stop: CancellationToken) {
    let mut head = store.watch();
    let mut told = store.stats().appends;
    while let Some(Ok(())) = stop.run_until_cancelled(head.changed()).await {
        let appends = store.stats().appends;
        // Others tell of theirs.
        if appends == told || !broker.is_connected() {
            continue;
        }
        told = appends;
        let hint = written(*head.borrow_and_update());
        let sending = broker.client().publish(SUBJECT, hint.into());
        if !matches!(timeout(QUEUED_WITHIN, sending).await, Ok(Ok(()))) {
            tracing::debug!("a hint was not sent");
        }
        sleep(PACE).await;
    }
    // The store is gone, or it is time: whoever watches this loop wants to see it end only then.
    stop.cancelled().await;
}

/// Wakes this process's readers when others tell of appends, until it is told to stop.
pub async fn listen(store: EventStore, broker: Broker, stop: CancellationToken) {
    let listening = async {
        loop {
            if let Ok(hints) = broker.client().subscribe(SUBJECT).await {
                look_after(&store, hints).await;
            }
            sleep(TRY_AGAIN).await;
        }
    };
    stop.run_until_cancelled(listening).await;
}

/// What a hint says is looked up and not believed: readers that were told of events which are not there would ask for them without
/// end.
async fn look_after(store: &EventStore, mut hints: async_nats::Subscriber) {
    let known = store.watch();
    while let Some(hint) = hints.next().await {
        if read(&hint.payload).is_some_and(|reaches| reaches > *known.borrow()) {
            if let Err(error) = store.head().await {
                tracing::debug!(%error, "a hint could not be followed");
            }
            sleep(PACE).await;
        }
    }
}

/// A hint on the wire, which two releases read alike.
fn written(reaches: Position) -> String {
    reaches.0.to_string()
}

fn read(hint: &[u8]) -> Option<Position> {
    let text = std::str::from_utf8(hint).ok()?;
    text.parse().ok().map(Position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_written_and_read_as_in_the_release_before() {
        let golden = include_str!("golden/hint.txt").trim_end();
        assert_eq!(written(Position(42)), golden);
        assert_eq!(read(golden.as_bytes()), Some(Position(42)));
    }

    #[test]
    fn what_is_no_number_is_no_hint() {
        for other in [b"".as_slice(), b"soon".as_slice(), b"\xff".as_slice()] {
            assert_eq!(read(other), None);
        }
    }
}
