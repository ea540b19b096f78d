//! Whether long work gets on: it counts its steps, and somebody watches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often within its limit to look whether work gets on.
const LOOKS: u32 = 8;

/// The steps of one piece of work.
#[derive(Default)]
pub(crate) struct Pulse {
    beats: AtomicU64,
    held: AtomicU64,
}

/// One step that may take as long as it likes, until this is dropped.
pub(crate) struct Held<'a>(&'a Pulse);

impl Pulse {
    /// One step is done.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Now comes a single statement that takes as long as its table is large.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Held(self)
    }

    /// Returns when no step was done for so long.
    pub(crate) async fn stalled(&self, after: Duration) {
        let (mut seen, mut since) = (self.beats.load(Ordering::Relaxed), Instant::now());
        loop {
            sleep(after / LOOKS).await;
            let now = self.beats.load(Ordering::Relaxed);
            if now != seen || self.held.load(Ordering::Relaxed) > 0 {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() >= after {
                return;
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_steps_or_has_leave_to_take_long_is_not_stalled() {
        let (pulse, after) = (Pulse::default(), Duration::from_millis(40));
        let began = Instant::now();
        let work = async {
            for _ in 0..6 {
                sleep(after / 2).await;
                pulse.beat();
            }
            let held = pulse.hold();
            sleep(after * 3).await;
            drop(held);
            std::future::pending::<()>().await;
        };
        // Work comes first: however late this thread is, a step is done before it is missed.
        tokio::select! {
            biased;
            () = work => unreachable!("it never ends"),
            () = pulse.stalled(after) => {}
        }
        assert!(began.elapsed() >= after * 7);
    }
}
