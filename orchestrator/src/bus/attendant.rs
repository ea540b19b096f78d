//! Pulls wake-ups for an engine, and keeps each in hand while its saga has something to do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::wakeups::{BEAT_EVERY, Delivery, FOR_OTHERS, MAX_DELIVER, Wakeups, count};
use crate::saga::dispatch::Rest;
use crate::saga::engine::Engine;

/// Wake-ups in hand at once, for each call of one step that may be in flight. A saga that waits for its turn at one step keeps
/// no worker from the next; more than that would keep sagas from workers that are free.
const IN_HAND_PER_CALL: usize = 4;

/// A saga that is due this soon stays in the queue, so that its time outlives this process. One that is due later is left to
/// the timer here and the sweeper: a queue full of what is not due would keep out what is.
const SOON: Duration = Duration::from_secs(120);

/// How long a word about a delivery may take to be heard. While the broker is away nothing that is said gets anywhere, not even into the
/// connection once that is full, and whoever waits for it keeps the hand that it has. A word that was not heard is no loss.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// How many may stay in the queue until their times, by the same argument.
const PUT_OFF_MAX: usize = 256;

/// Pulls until it is told to stop, then lets go of what it has in hand as the engine comes to rest.
///
/// `concurrency`: how many calls of one step may be in flight.
pub async fn attend(engine: Engine, wakeups: Wakeups, concurrency: usize, stop: CancellationToken) {
    let hands = Arc::new(Semaphore::new(IN_HAND_PER_CALL * concurrency));
    let put_off = Arc::new(PutOff::default());
    let mut held = JoinSet::new();
    while let Some(pulled) = stop.run_until_cancelled(pull(&wakeups, &hands)).await {
        for delivery in pulled {
            // Whoever pulls is the only one who takes, and pulled no more than were free.
            let hand = Arc::clone(&hands).try_acquire_owned();
            let (engine, put_off) = (engine.clone(), Arc::clone(&put_off));
            held.spawn(async move {
                look(&engine, delivery, &put_off).await;
                drop(hand);
            });
        }
        while held.try_join_next().is_some() {}
    }
    while held.join_next().await.is_some() {}
}

async fn pull(wakeups: &Wakeups, hands: &Semaphore) -> Vec<Delivery> {
    // Never closed. Waits for the first free hand and takes along what is free by then.
    drop(hands.acquire().await);
    wakeups.pull(hands.available_permits().max(1)).await
}

/// Looks at a saga until it rests, and says so all the while.
async fn look(engine: &Engine, delivery: Delivery, put_off: &PutOff) {
    let wakeup = delivery.wakeup.clone();
    let rest = beating(&delivery, engine.attend(&wakeup)).await;
    if engine.is_stopping() {
        // Somebody else goes on at once.
        is_heard(delivery.later(Duration::ZERO)).await;
        return;
    }
    let last = delivery.attempt >= MAX_DELIVER;
    match rest {
        Rest::Until(None) => {
            is_heard(delivery.ack()).await;
        }
        Rest::Missing => {
            count("missing", 1);
            is_heard(delivery.ack()).await;
        }
        _ if last => {
            count("dropped", 1);
            is_heard(delivery.ack()).await;
        }
        Rest::LeftAlone => {
            let delay = FOR_OTHERS * delivery.attempt;
            is_heard(delivery.later(delay)).await;
        }
        Rest::Until(Some(at)) => {
            let delay = (at - Utc::now()).to_std().unwrap_or_default();
            if delay > SOON || !put_off.admits(delay) {
                is_heard(delivery.ack()).await;
            } else if is_heard(delivery.later(delay)).await {
                engine.leave_timer(wakeup.saga, at);
            }
        }
    }
}

/// Says again and again that this is under way. Its end is seen also while nobody hears that.
async fn beating<T>(delivery: &Delivery, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut beats = interval_at(Instant::now() + BEAT_EVERY, BEAT_EVERY);
    loop {
        let beat = async {
            beats.tick().await;
            is_heard(delivery.beat()).await
        };
        tokio::select! {
            output = &mut work => return output,
            _ = beat => {}
        }
    }
}

/// Whether what is said is known to be heard.
async fn is_heard(word: impl Future<Output = bool>) -> bool {
    timeout(HEARD_WITHIN, word).await.unwrap_or(false)
}

/// Counts what this process has put off, until its time.
#[derive(Debug, Default)]
struct PutOff {
    /// The second tells apart what is due at once.
    until: Mutex<BTreeSet<(Instant, u64)>>,
}

impl PutOff {
    /// Takes a place for that long, if one is free.
    fn admits(&self, delay: Duration) -> bool {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *until = until.split_off(&(now, 0));
        let free = until.len() < PUT_OFF_MAX;
        if free {
            until.insert((now + delay, fastrand::u64(..)));
        }
        free
    }
}
