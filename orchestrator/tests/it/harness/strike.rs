//! Where an engine is hit: every point it passes is counted, and at one of them it is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use orchestrator::saga::observer::{Observer, Point};
use tokio::sync::Notify;
use uuid::Uuid;

use super::TestClock;

/// What happens to the engine, or what somebody asks, at one point of a saga's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Nothing.
    None,
    /// The engine is gone at this point; another one goes on.
    Crash(usize),
    /// Somebody asks for the saga to be undone while the engine is at this point.
    Cancel(usize),
    /// The process freezes between its last check and the call of this step; it wakes when another one has finished the saga.
    Freeze(&'static str),
    /// The same, and the saga is cancelled before the other one takes over.
    FreezeAndCancel(&'static str),
    /// Somebody asks for the saga to be undone at this point, and on the way back the process freezes before that step.
    CancelAndFreeze(usize, &'static str),
}

impl Strike {
    /// Before the call of which step a process freezes.
    pub(crate) fn frozen_at(self) -> Option<&'static str> {
        match self {
            Self::Freeze(step) | Self::FreezeAndCancel(step) | Self::CancelAndFreeze(_, step) => {
                Some(step)
            }
            Self::None | Self::Crash(_) | Self::Cancel(_) => None,
        }
    }
}

/// Counts points, moves the clock when a saga only waits, and holds the saga where it is to be hit.
pub(crate) struct Striker {
    clock: Arc<TestClock>,
    strike: Strike,
    passed: AtomicUsize,
    struck: AtomicUsize,
    pub(crate) hit: Notify,
    pub(crate) release: Notify,
}

impl Striker {
    pub(crate) fn new(clock: Arc<TestClock>, strike: Strike) -> Self {
        Self {
            clock,
            strike,
            passed: AtomicUsize::new(0),
            struck: AtomicUsize::new(0),
            hit: Notify::new(),
            release: Notify::new(),
        }
    }

    /// How many points were passed.
    pub(crate) fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }

    fn strikes(&self, nth: usize, point: &Point) -> bool {
        let blows = self.struck.load(Ordering::SeqCst);
        let here = match (self.strike, blows, point) {
            (Strike::Crash(at) | Strike::Cancel(at) | Strike::CancelAndFreeze(at, _), 0, _) => {
                nth == at
            }
            (
                Strike::Freeze(at) | Strike::FreezeAndCancel(at),
                0,
                Point::Executing { step, .. },
            )
            | (Strike::CancelAndFreeze(_, at), 1, Point::Executing { step, .. }) => at == *step,
            _ => false,
        };
        here && self
            .struck
            .compare_exchange(blows, blows + 1, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl Observer for Striker {
    fn reached<'a>(&'a self, _saga: Uuid, point: Point) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let nth = self.passed.fetch_add(1, Ordering::SeqCst);
            if self.strikes(nth, &point) {
                self.hit.notify_one();
                self.release.notified().await;
            }
            if let Point::Waiting { until: Some(until) } = point {
                self.clock.advance_to(until);
            }
        })
    }
}
