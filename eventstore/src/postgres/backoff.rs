//! Waiting between attempts to reach the server.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);
/// Short enough that a restarted server is found while most callers still wait.
const LONGEST: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Backoff(FIRST)
    }

    pub(super) fn reset(&mut self) {
        self.0 = FIRST;
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}
