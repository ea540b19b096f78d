//! How many sagas may have a task here that nobody here asked for. A task holds its saga's state and history for as long as it waits
//! for a permit, so what comes due after an outage must not get one all at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::definition::Saga;

/// Woken by timers, and as many again by the sweeper; some tens of MB each. Several sweeps' worth, and several sagas for each call that a
/// process makes at once by default, so that permits run out before places do.
pub(super) const PLACES: usize = 2_000;

/// Where the calls that may be in flight are set higher: as many sagas for each call of one step as an attendant takes.
const PER_CALL: usize = 4;

/// Held by the task of a saga while it lives.
pub(super) type Place = OwnedSemaphorePermit;

/// Those that are free. Timers of calls, timers of looks and the sweeper have their own, so that none takes all of another's: when a carrier
/// is back, all parcels are to be looked for, and a payment that is to be tried again must not wait behind them. Who waits here for a saga, or
/// pulled a wake-up for it, needs none.
#[derive(Debug)]
pub(super) struct Places {
    of_calls: Arc<Semaphore>,
    of_looks: Arc<Semaphore>,
    swept: Arc<Semaphore>,
}

/// What a saga is woken for by a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Something is to be tried.
    Call,
    /// What somebody else does is to be looked at, and nothing else.
    Look,
}

impl Places {
    pub(super) fn new(least: usize, sagas: &[Arc<dyn Saga>]) -> Self {
        let steps = sagas.iter().flat_map(|saga| saga.definition().steps());
        let each = number(least, steps.map(|step| step.concurrency));
        Self {
            of_calls: Arc::new(Semaphore::new(each)),
            of_looks: Arc::new(Semaphore::new(each)),
            swept: Arc::new(Semaphore::new(each)),
        }
    }

    /// Resolves when there is one.
    pub(super) async fn for_timer(&self, errand: Errand) -> Option<Place> {
        let places = match errand {
            Errand::Call => &self.of_calls,
            Errand::Look => &self.of_looks,
        };
        // Never closed.
        Arc::clone(places).acquire_owned().await.ok()
    }

    /// `None`: there is none now.
    pub(super) fn for_sweeper(&self) -> Option<Place> {
        Arc::clone(&self.swept).try_acquire_owned().ok()
    }
}

fn number(least: usize, calls: impl Iterator<Item = usize>) -> usize {
    let most = calls.max().unwrap_or(0);
    let carried = most.saturating_mul(PER_CALL);
    least.max(carried).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_as_are_set_unless_the_calls_carry_more() {
        assert_eq!(number(PLACES, std::iter::empty()), PLACES);
        assert_eq!(number(PLACES, [8, 256, 64].into_iter()), PLACES);
        assert_eq!(number(PLACES, [8, 3_000].into_iter()), 12_000);
        let endless = number(PLACES, [usize::MAX].into_iter());
        assert_eq!(endless, Semaphore::MAX_PERMITS);
    }

    #[tokio::test]
    async fn what_one_kind_of_waking_has_taken_is_not_missing_for_another() {
        let places = Places::new(1, &[]);
        let swept = places.for_sweeper();
        assert!(swept.is_some() && places.for_sweeper().is_none());
        let looks = places.for_timer(Errand::Look).await;
        let calls = places.for_timer(Errand::Call).await;
        assert!(looks.is_some() && calls.is_some());
        drop(swept);
        assert!(places.for_sweeper().is_some(), "given back");
    }
}
