//! Follows what other engines write about a saga, for those who wait for it here.

use std::time::Duration;

use eventstore::{EventStore, Position, StreamId, Version};

use super::view::{SAGA, Snapshot};

/// A busy log moves all the time; the saga is looked for in it at most this often. Nobody notices a hundredth of a second, and who
/// has waited long does not notice more.
const FIRST_PACE: Duration = Duration::from_millis(10);
const LAST_PACE: Duration = Duration::from_millis(160);

/// A log that does not move, or cannot be asked, is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Follower {
    /// How far the log reached when the saga was looked for.
    head: Position,
    /// The version at which others were last told that there is work for them.
    told_at: Option<Version>,
}

impl Follower {
    /// Whether others have not been told yet about the saga at this version: told once is enough, the sweeper finds what is lost.
    pub(super) fn is_untold(&mut self, at: Version) -> bool {
        self.told_at.replace(at) != Some(at)
    }

    /// Resolves when there is more in the log about the saga than in the snapshot. Dropping it loses nothing.
    pub(super) async fn news(&mut self, store: &EventStore, known: &Snapshot) {
        let stream = StreamId::new(SAGA.clone(), known.id);
        let mut pace = FIRST_PACE;
        loop {
            tokio::time::sleep(pace).await;
            pace = (pace * 2).min(LAST_PACE);
            let moved = store.wait_past(self.head, LOOK_AGAIN).await;
            self.head = *store.watch().borrow();
            match store.read_stream(&stream, known.version, 1).await {
                Ok(events) if !events.is_empty() => return,
                Ok(_) if moved.is_ok() => {}
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }
}
