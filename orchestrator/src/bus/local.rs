//! The queue of wake-ups of a shop that is one process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::wakeups::{Delivery, Limits, count};
use crate::saga::dispatch::Wakeup;

/// About 1 MB. What does not fit is due, and found by the sweeper.
const WAITING_MAX: usize = 10_000;

#[derive(Debug, Clone)]
pub(super) struct Local(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    queue: Mutex<Queue>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<Entry>,
    /// Not before their times; the number tells apart what is due at once.
    later: BTreeMap<(Instant, u64), Entry>,
    /// In somebody's hands, each until its time.
    out: HashMap<u64, (Instant, Entry)>,
    deliveries: u64,
}

#[derive(Debug)]
struct Entry {
    wakeup: Wakeup,
    delivered: u32,
}

/// One delivery of one entry.
#[derive(Debug)]
pub(super) struct Receipt {
    queue: Local,
    number: u64,
}

impl Local {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            queue: Mutex::default(),
            news: Notify::new(),
        }))
    }

    pub(super) fn publish(&self, wakeup: Wakeup) -> bool {
        let mut queue = self.queue();
        if queue.ready.len() + queue.later.len() >= WAITING_MAX {
            return false;
        }
        let delivered = 0;
        queue.ready.push_back(Entry { wakeup, delivered });
        drop(queue);
        self.0.news.notify_one();
        true
    }

    pub(super) async fn pull(&self, max: usize) -> Vec<Delivery> {
        loop {
            let next = {
                let mut queue = self.queue();
                queue.collect(Instant::now(), self.0.limits.max_deliver);
                let taken = self.take(&mut queue, max);
                if !taken.is_empty() {
                    if !queue.ready.is_empty() {
                        self.0.news.notify_one();
                    }
                    return taken;
                }
                queue.next_change()
            };
            tokio::select! {
                () = self.0.news.notified() => {}
                () = until(next) => {}
            }
        }
    }

    fn take(&self, queue: &mut Queue, max: usize) -> Vec<Delivery> {
        let count = max.min(queue.ready.len());
        let entries: Vec<_> = queue.ready.drain(..count).collect();
        let deliver = |mut entry: Entry| {
            entry.delivered += 1;
            queue.deliveries += 1;
            let number = queue.deliveries;
            let receipt = Receipt {
                queue: self.clone(),
                number,
            };
            let delivery = Delivery::from_local(entry.wakeup.clone(), entry.delivered, receipt);
            let until = Instant::now() + self.0.limits.ack_wait;
            queue.out.insert(number, (until, entry));
            delivery
        };
        entries.into_iter().map(deliver).collect()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code that holds the lock can panic half way through a change.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Makes ready what is due and what its holder was silent about for too long.
    fn collect(&mut self, now: Instant, max_deliver: u32) {
        let rest = self.later.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.later, rest);
        let silent = self.out.extract_if(|_, (until, _)| *until <= now);
        let silent = silent.map(|(_, (_, entry))| entry);
        for entry in due.into_values().chain(silent) {
            if entry.delivered < max_deliver {
                self.ready.push_back(entry);
            } else {
                count("dropped", 1);
            }
        }
    }

    /// When `collect` finds something if nobody does anything.
    fn next_change(&self) -> Option<Instant> {
        let later = self.later.keys().next().map(|(at, _)| *at);
        let silent = self.out.values().map(|(until, _)| *until).min();
        later.into_iter().chain(silent).min()
    }
}

impl Receipt {
    pub(super) fn ack(self) -> bool {
        self.queue.queue().out.remove(&self.number).is_some()
    }

    pub(super) fn beat(&self) -> bool {
        let until = Instant::now() + self.queue.0.limits.ack_wait;
        let mut queue = self.queue.queue();
        let held = queue.out.get_mut(&self.number);
        held.map(|(silent_until, _)| *silent_until = until)
            .is_some()
    }

    pub(super) fn later(self, delay: Duration) -> bool {
        let mut queue = self.queue.queue();
        let Some((_, entry)) = queue.out.remove(&self.number) else {
            return false;
        };
        queue
            .later
            .insert((Instant::now() + delay, self.number), entry);
        drop(queue);
        self.queue.0.news.notify_one();
        true
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
