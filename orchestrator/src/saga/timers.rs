//! Wake-ups of this process for sagas whose task has ended. A hint only: what is forgotten here the sweeper finds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use super::clock::Clock;
use super::places::Errand;
use super::registry::lock;

/// Of each kind, about 20 MB; sagas beyond wait for the sweeper. Those that only wait, perhaps for days, take no place of one whose call
/// is to be made.
const TIMERS_MAX: usize = 100_000;

/// One timer per saga: the last one that it came to rest with. While a participant is away a saga is woken in other ways as well, and
/// would otherwise leave one more each time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: Mutex<Armed>,
    earlier_call: Notify,
    earlier_look: Notify,
}

#[derive(Debug, Default)]
struct Armed {
    of: HashMap<Uuid, (Errand, DateTime<Utc>)>,
    calls: BTreeSet<(DateTime<Utc>, Uuid)>,
    looks: BTreeSet<(DateTime<Utc>, Uuid)>,
}

impl Timers {
    pub(super) fn arm(&self, errand: Errand, id: Uuid, at: DateTime<Utc>) {
        let first = {
            let mut armed = lock(&self.armed);
            armed.remove(id);
            if armed.due(errand).len() >= TIMERS_MAX {
                return;
            }
            armed.of.insert(id, (errand, at));
            let due = armed.due(errand);
            due.insert((at, id));
            due.first() == Some(&(at, id))
        };
        if first {
            self.earlier(errand).notify_one();
        }
    }

    /// Forgets the timer of a saga, if it is this one: somebody else will wake the saga then.
    pub(super) fn disarm(&self, id: Uuid, at: DateTime<Utc>) {
        let mut armed = lock(&self.armed);
        if armed.of.get(&id).is_some_and(|(_, armed)| *armed == at) {
            armed.remove(id);
        }
    }

    /// The next saga that is due for such an errand, when it is.
    pub(super) async fn next(&self, errand: Errand, clock: &dyn Clock) -> Uuid {
        loop {
            let first = lock(&self.armed).due(errand).first().copied();
            let Some((at, id)) = first else {
                self.earlier(errand).notified().await;
                continue;
            };
            tokio::select! {
                () = self.earlier(errand).notified() => {}
                () = clock.sleep_until(at) => {
                    if lock(&self.armed).take(errand, id, at) {
                        return id;
                    }
                }
            }
        }
    }

    fn earlier(&self, errand: Errand) -> &Notify {
        match errand {
            Errand::Call => &self.earlier_call,
            Errand::Look => &self.earlier_look,
        }
    }
}

impl Armed {
    fn due(&mut self, errand: Errand) -> &mut BTreeSet<(DateTime<Utc>, Uuid)> {
        match errand {
            Errand::Call => &mut self.calls,
            Errand::Look => &mut self.looks,
        }
    }

    fn remove(&mut self, id: Uuid) {
        if let Some((errand, at)) = self.of.remove(&id) {
            self.due(errand).remove(&(at, id));
        }
    }

    /// Whether it was still there.
    fn take(&mut self, errand: Errand, id: Uuid, at: DateTime<Utc>) -> bool {
        let is_there = self.of.get(&id) == Some(&(errand, at));
        if is_there {
            self.remove(id);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::saga::clock::SystemClock;

    fn past(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("a time")
    }

    /// Those that are due now, in their order.
    async fn rung(timers: &Timers, errand: Errand) -> Vec<Uuid> {
        let mut rung = Vec::new();
        let soon = Duration::from_millis(50);
        while let Ok(id) = timeout(soon, timers.next(errand, &SystemClock)).await {
            rung.push(id);
        }
        rung
    }

    #[tokio::test]
    async fn a_saga_that_rests_again_and_again_has_one_timer() {
        let (timers, saga, other) = (Timers::default(), Uuid::now_v7(), Uuid::now_v7());
        for second in [1, 2, 3] {
            timers.arm(Errand::Call, saga, past(second));
        }
        timers.arm(Errand::Call, other, past(2));
        assert_eq!(rung(&timers, Errand::Call).await, [other, saga]);
        timers.arm(Errand::Call, saga, past(1));
        timers.arm(Errand::Look, saga, past(2));
        assert!(rung(&timers, Errand::Call).await.is_empty());
        assert_eq!(rung(&timers, Errand::Look).await, [saga]);
        assert!(lock(&timers.armed).of.is_empty());
    }

    #[tokio::test]
    async fn only_the_timer_that_somebody_else_stands_in_for_is_forgotten() {
        let (timers, saga) = (Timers::default(), Uuid::now_v7());
        timers.arm(Errand::Call, saga, past(1));
        timers.disarm(saga, past(2));
        assert_eq!(rung(&timers, Errand::Call).await, [saga]);
        timers.arm(Errand::Look, saga, past(1));
        timers.disarm(saga, past(1));
        assert!(rung(&timers, Errand::Look).await.is_empty());
    }

    #[test]
    fn a_saga_that_has_one_may_change_it_when_there_is_room_for_no_more() {
        let (timers, saga, other) = (Timers::default(), Uuid::now_v7(), Uuid::now_v7());
        timers.arm(Errand::Look, saga, past(1));
        for _ in 0..TIMERS_MAX {
            timers.arm(Errand::Look, Uuid::now_v7(), past(1));
        }
        timers.arm(Errand::Look, saga, past(2));
        timers.arm(Errand::Call, other, past(3));
        let armed = lock(&timers.armed);
        assert_eq!(armed.looks.len(), TIMERS_MAX);
        assert_eq!(armed.of.get(&saga), Some(&(Errand::Look, past(2))));
        assert_eq!(armed.of.get(&other), Some(&(Errand::Call, past(3))));
    }
}
