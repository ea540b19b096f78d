//! Wake-ups: those of this engine, those for others, and those that came from others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::dispatch::{Rest, Wakeup};
use super::engine::{Engine, Inner};
use super::places::{Errand, Place};
use super::registry::{Inbox, Word};
use super::task::Opening;

impl Engine {
    /// Says: look at this saga, something may have happened to it. Duplicate, late and needless wake-ups do no harm.
    pub fn wake(&self, id: Uuid) {
        self.tell(id, None);
    }

    /// Says: what this step waits for may have happened.
    pub fn hint(&self, id: Uuid, step: &str) {
        self.tell(id, Some(step));
    }

    /// Has whichever engine gets to it first look at a saga. `false`: none can be told.
    pub(super) fn pass_on(&self, id: Uuid) -> bool {
        self.inner.dispatch(Wakeup::of(id))
    }

    /// Wakes a saga that nobody here asked for. `false`: there is no place for it now.
    pub(super) fn wake_unasked(&self, id: Uuid) -> bool {
        let place = self.inner.places.for_sweeper();
        let has_place = place.is_some();
        if has_place {
            self.say_here(id, Word::Reload, place);
        }
        has_place
    }

    /// Wakes a saga here and resolves when it has no task here any more. Dropping this stops nothing.
    pub async fn attend(&self, wakeup: &Wakeup) -> Rest {
        let Some(inbox) = self.tell_here(wakeup.saga, wakeup.step.as_deref()) else {
            return Rest::default();
        };
        let halted = &self.inner.halted;
        let rest = halted.run_until_cancelled(inbox.ended()).await;
        rest.unwrap_or_default()
    }

    /// Forgets the timer of a saga: somebody else wakes it then.
    pub fn leave_timer(&self, id: Uuid, at: DateTime<Utc>) {
        self.inner.timers.disarm(id, at);
    }

    /// How often a saga was found here that this build does not understand; it only grows.
    pub fn left_alone(&self) -> u64 {
        self.inner.left_alone.load(Ordering::Relaxed)
    }

    /// Whether no attempt begins any more.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.is_cancelled()
    }

    fn tell(&self, id: Uuid, step: Option<&str>) {
        let others = match step {
            Some(step) => !self.inner.begins.includes(step),
            None => !self.inner.begins.is_all() && !self.is_live(id),
        };
        let wakeup = || Wakeup {
            saga: id,
            step: step.map(str::to_owned),
        };
        if others && self.inner.dispatch(wakeup()) {
            return;
        }
        match step {
            // A hint is in no log: dropped here, it would be lost until the step is looked at anyway.
            Some(step) if others => self.say_here(id, Word::LookHere(step), None),
            step => self.tell_here(id, step),
        };
    }

    /// `None`: the engine is stopping.
    fn tell_here(&self, id: Uuid, step: Option<&str>) -> Option<Arc<Inbox>> {
        self.say_here(id, step.map_or(Word::Reload, Word::Look), None)
    }

    fn say_here(&self, id: Uuid, word: Word<'_>, place: Option<Place>) -> Option<Arc<Inbox>> {
        if self.is_stopping() {
            return None;
        }
        Some(match self.inner.registry.tell(id, word) {
            Ok(inbox) => inbox,
            Err(slot) => {
                let inbox = Arc::clone(&slot.inbox);
                self.spawn(id, slot, Opening::Found, place);
                inbox
            }
        })
    }

    pub(super) fn keep_time(&self) {
        let engine = self.clone();
        self.accompany("the sagas' timers", async move {
            engine.ring(Errand::Call).await;
        });
        let engine = self.clone();
        self.accompany("the timers of sagas that only wait", async move {
            engine.ring(Errand::Look).await;
        });
    }

    async fn ring(&self, errand: Errand) {
        let (timers, clock) = (&self.inner.timers, &self.inner.clock);
        loop {
            // First the place: until there is one, the timers stay where they are, and what they are for is due to the sweeper.
            let place = self.inner.places.for_timer(errand).await;
            let id = timers.next(errand, clock.as_ref()).await;
            // It was the saga's only timer: a task that is about to end is told as well.
            self.say_here(id, Word::Reload, place);
        }
    }
}

impl Inner {
    /// `false`: there is nobody else, or nobody can be told.
    pub(super) fn dispatch(&self, wakeup: Wakeup) -> bool {
        let told = self.dispatch.as_ref().map(|others| others.dispatch(wakeup));
        told == Some(true)
    }
}
