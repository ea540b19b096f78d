//! What everybody who publishes and pulls may rely on.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use orchestrator::bus::wakeups::{Delivery, Wakeups};
use orchestrator::saga::dispatch::Wakeup;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::carriers::{
    ACK_WAIT, FEW, LIMITS, MAX_DELIVER, Queue, dropped, nobody_finishes, on_each_carrier,
    on_each_carrier_within,
};
use crate::town::{STUCK, until};

fn some() -> Wakeup {
    Wakeup::of(Uuid::now_v7())
}

/// The next delivery, which has to come.
async fn next(wakeups: &Wakeups) -> Delivery {
    let mut pulled = timeout(STUCK, wakeups.pull(1)).await.expect("a delivery");
    assert_eq!(pulled.len(), 1);
    pulled.remove(0)
}

/// Nothing comes for longer than any silence that is allowed.
async fn nothing_comes(wakeups: &Wakeups) {
    let pulled = timeout(ACK_WAIT * 2, wakeups.pull(10)).await;
    assert!(pulled.is_err(), "{pulled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wakeup_goes_to_one_of_those_who_pull_and_never_again_once_it_is_acknowledged() {
    on_each_carrier(async |queue| {
        let published: HashSet<Wakeup> = (0..40).map(|_| some()).collect();
        for wakeup in &published {
            assert!(queue.here.publish(wakeup.clone()));
        }
        let seen = Mutex::new(Vec::new());
        let all_seen = || seen.lock().unwrap().len() >= published.len();
        let pulling = async |who: &Wakeups| {
            while !all_seen() {
                // What one of them has seen the other need not wait for.
                let pulled = timeout(ACK_WAIT / 6, who.pull(7)).await.unwrap_or_default();
                assert!(pulled.len() <= 7);
                for delivery in pulled {
                    seen.lock().unwrap().push(delivery.wakeup.clone());
                    assert!(delivery.ack().await);
                }
            }
        };
        let both = async { tokio::join!(pulling(&queue.here), pulling(&queue.there)) };
        timeout(STUCK, both)
            .await
            .expect("all of them are delivered");
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.len(), published.len(), "each once");
        assert_eq!(seen.into_iter().collect::<HashSet<_>>(), published);
        nothing_comes(&queue.there).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wakeup_carries_the_step_that_is_worth_a_look() {
    on_each_carrier(async |queue| {
        let hinted = Wakeup {
            step: Some("handover".to_owned()),
            ..some()
        };
        queue.here.publish(hinted.clone());
        let delivery = next(&queue.there).await;
        assert_eq!(delivery.wakeup, hinted);
        assert!(delivery.ack().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_holder_is_silent_about_comes_again_and_to_anybody() {
    on_each_carrier(async |queue| {
        let wakeup = some();
        queue.here.publish(wakeup.clone());
        let forgotten = next(&queue.here).await;
        let again = next(&queue.there).await;
        assert_eq!((&again.wakeup, again.attempt), (&wakeup, 2));
        drop(forgotten);
        assert!(again.ack().await);
        nothing_comes(&queue.here).await;
    })
    .await;
}

/// How often a beat may be tried where the machine is too busy to beat in time.
const TRIES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn what_its_holder_says_to_be_at_does_not_come_again() {
    on_each_carrier(async |queue| {
        for _ in 0..TRIES {
            if stays_while_it_beats(queue).await {
                return;
            }
        }
        panic!("no beat came in time");
    })
    .await;
}

/// `false`: it came again, but its holder had been silent for too long.
async fn stays_while_it_beats(queue: &Queue) -> bool {
    queue.here.publish(some());
    let held = next(&queue.here).await;
    let until = Instant::now() + ACK_WAIT * 3;
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while Instant::now() < until {
        let now = Instant::now();
        held.beat().await;
        longest = longest.max(last.elapsed());
        last = now;
        let pulled = timeout(ACK_WAIT / 6, queue.there.pull(1)).await;
        longest = longest.max(last.elapsed());
        if let Ok(pulled) = pulled {
            assert!(longest > ACK_WAIT / 2, "{longest:?}: {pulled:?}");
            for delivery in pulled {
                delivery.ack().await;
            }
            return false;
        }
    }
    assert!(held.ack().await);
    nothing_comes(&queue.there).await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_off_comes_again_when_its_time_has_come() {
    on_each_carrier(async |queue| {
        queue.here.publish(some());
        let first = next(&queue.here).await;
        let wakeup = first.wakeup.clone();
        let (since, delay) = (Instant::now(), Duration::from_millis(700));
        assert!(first.later(delay).await);
        let second = next(&queue.there).await;
        assert!(since.elapsed() >= delay);
        assert_eq!((&second.wakeup, second.attempt), (&wakeup, 2));
        // Others do not wait behind it.
        assert!(second.later(STUCK).await);
        let other = some();
        queue.there.publish(other.clone());
        let delivery = next(&queue.here).await;
        assert_eq!(delivery.wakeup, other);
        assert!(delivery.ack().await);
    })
    .await;
}

#[test]
fn what_was_put_off_too_often_is_dropped_and_counted_once() {
    on_each_carrier_within(LIMITS, async |queue, counts| {
        let before = dropped(counts);
        queue.here.publish(some());
        for attempt in 1..=MAX_DELIVER {
            let delivery = next(&queue.there).await;
            assert_eq!(delivery.attempt, attempt);
            assert_eq!(dropped(counts), before);
            delivery.later(Duration::ZERO).await;
        }
        nothing_comes(&queue.there).await;
        assert_eq!(dropped(counts), before + 1);
        // The queue itself goes on.
        let other = some();
        queue.here.publish(other.clone());
        assert_eq!(next(&queue.there).await.wakeup, other);
    });
}

#[test]
fn a_wakeup_that_nobody_finishes_is_dropped_and_counted_once() {
    on_each_carrier_within(FEW, async |queue, counts| {
        let before = dropped(counts);
        assert!(queue.here.publish(some()));
        nobody_finishes(&queue.there, FEW).await;
        // It is dropped by whoever pulls next.
        assert_eq!(dropped(counts), before);
        let counted = until("it is counted", STUCK, async || {
            (dropped(counts) > before).then_some(())
        });
        tokio::select! {
            pulled = queue.there.pull(1) => panic!("{pulled:?}"),
            () = counted => {}
        }
        let nothing = timeout(FEW.ack_wait * 5, queue.there.pull(1)).await;
        assert!(nothing.is_err(), "{nothing:?}");
        assert_eq!(dropped(counts), before + 1);
    });
}
