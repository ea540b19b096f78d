//! Wake-ups of this process for sagas whose task has ended. A hint only: what is forgotten here the sweeper finds.

use std::collections::BTreeSet;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use super::clock::Clock;
use super::registry::lock;

/// About 10 MB of timers; sagas beyond wait for the sweeper.
const TIMERS_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: Mutex<BTreeSet<(DateTime<Utc>, Uuid)>>,
    earlier: Notify,
}

impl Timers {
    pub(super) fn arm(&self, id: Uuid, at: DateTime<Utc>) {
        let first = {
            let mut due = lock(&self.due);
            if due.len() >= TIMERS_MAX {
                return;
            }
            due.insert((at, id));
            due.first() == Some(&(at, id))
        };
        if first {
            self.earlier.notify_one();
        }
    }

    /// Forgets a timer: somebody else will wake the saga then.
    pub(super) fn disarm(&self, id: Uuid, at: DateTime<Utc>) {
        lock(&self.due).remove(&(at, id));
    }

    /// The next saga that is due, when it is.
    pub(super) async fn next(&self, clock: &dyn Clock) -> Uuid {
        loop {
            let first = lock(&self.due).first().copied();
            let Some((at, id)) = first else {
                self.earlier.notified().await;
                continue;
            };
            tokio::select! {
                () = self.earlier.notified() => {}
                () = clock.sleep_until(at) => {
                    if lock(&self.due).remove(&(at, id)) {
                        return id;
                    }
                }
            }
        }
    }
}
