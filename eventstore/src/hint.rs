//! Waking readers. An append of this process wakes them at once; appends of other processes are found by looking, and however many
//! readers wait, only one of them looks at a time.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::position::Position;

/// How often a waiting reader looks for appends of other processes.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Hint {
    head: watch::Sender<Position>,
    polled: Mutex<Instant>,
}

impl Hint {
    pub(crate) fn new(head: Position) -> Self {
        Hint {
            head: watch::Sender::new(head),
            polled: Mutex::new(Instant::now()),
        }
    }

    /// The log is known to reach `position`.
    pub(crate) fn advance(&self, position: Position) {
        self.head.send_if_modified(|head| {
            let advanced = position > *head;
            if advanced {
                *head = position;
            }
            advanced
        });
    }

    /// The log was replaced by a shorter one. Without this, readers at its end would be told for ever that there is more.
    pub(crate) fn rewind(&self, position: Position) {
        self.head.send_replace(position);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Waits for a wake-up, for the next look, or for `deadline`. `true`: it is the caller's turn to look.
    pub(crate) async fn wait(
        &self,
        seen: &mut watch::Receiver<Position>,
        deadline: Instant,
    ) -> bool {
        let next_look = (Instant::now() + POLL_INTERVAL).min(deadline);
        tokio::select! {
            // The sender lives in `self`, so `changed` cannot fail while this runs.
            _ = seen.changed() => false,
            () = tokio::time::sleep_until(next_look) => self.take_turn(),
        }
    }

    fn take_turn(&self) -> bool {
        let Ok(mut polled) = self.polled.try_lock() else {
            return false;
        };
        let due = polled.elapsed() >= POLL_INTERVAL / 2;
        if due {
            *polled = Instant::now();
        }
        due
    }
}
