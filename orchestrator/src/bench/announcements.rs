//! Watches the log for messages that were sent, and tells whoever waits for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use eventstore::{Category, EventStore, Position};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

const KAKAO: Category = Category::from_static("kakao");
/// Short against an order's whole way, long enough not to load the database with questions.
const LOOK_EVERY: Duration = Duration::from_millis(4);
const PAGE: usize = 1000;
/// An order whose message takes longer than this has gone wrong.
const SENT_WITHIN: Duration = Duration::from_secs(60);

/// Whether the message or the one who waits for it came first.
enum Slot {
    Sent(Instant),
    Awaited(oneshot::Sender<Instant>),
}

#[derive(Clone, Default)]
struct Slots(Arc<Mutex<HashMap<String, Slot>>>);

/// Which orders' messages were sent, and when that was seen.
#[derive(Clone)]
pub(super) struct Announcements {
    slots: Slots,
}

/// Ends the watch when dropped.
pub(super) struct Watcher(JoinHandle<anyhow::Result<()>>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    order_id: String,
}

impl Announcements {
    /// Watches from `after` on.
    pub(super) fn watch(store: EventStore, after: Position) -> (Self, Watcher) {
        let slots = Slots::default();
        let watched = slots.clone();
        let watcher = tokio::spawn(async move {
            let ended = follow(store, after, &watched).await;
            // Whoever still waits learns at once that nothing will come.
            watched
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            ended
        });
        (Self { slots }, Watcher(watcher))
    }

    /// When the message of an order was seen in the log.
    pub(super) async fn of(&self, order: &str) -> anyhow::Result<Instant> {
        let receiver = match self.slots.claim(order) {
            Claim::Seen(at) => return Ok(at),
            Claim::Coming(receiver) => receiver,
        };
        timeout(SENT_WITHIN, receiver)
            .await
            .with_context(|| format!("no message for order {order} within {SENT_WITHIN:?}"))?
            .context("the watch over the log ended")
    }
}

enum Claim {
    Seen(Instant),
    Coming(oneshot::Receiver<Instant>),
}

impl Slots {
    fn claim(&self, order: &str) -> Claim {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Slot::Sent(at)) = slots.remove(order) {
            return Claim::Seen(at);
        }
        let (sender, receiver) = oneshot::channel();
        slots.insert(order.to_owned(), Slot::Awaited(sender));
        Claim::Coming(receiver)
    }

    fn sent(&self, order: String, at: Instant) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.remove(&order) {
            // Whoever waited may have given up; then nobody needs to know.
            Some(Slot::Awaited(sender)) => drop(sender.send(at)),
            // The first message of an order is the one that counts.
            Some(first @ Slot::Sent(_)) => drop(slots.insert(order, first)),
            None => drop(slots.insert(order, Slot::Sent(at))),
        }
    }
}

async fn follow(store: EventStore, mut after: Position, slots: &Slots) -> anyhow::Result<()> {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let page = store
            .read_all(after, PAGE, Some(&KAKAO))
            .await
            .context("reading the log")?;
        let seen = Instant::now();
        for event in &page.events {
            if *event.event_type == *"SentMessage" {
                let sent: Sent = serde_json::from_str(event.data.get()).context("a SentMessage")?;
                slots.sent(sent.order_id, seen);
            }
        }
        after = page.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_told_whether_it_came_before_or_after_the_question() {
        let announcements = Announcements {
            slots: Slots::default(),
        };
        let at = Instant::now();
        announcements.slots.sent("early".to_owned(), at);
        assert_eq!(announcements.of("early").await.expect("seen"), at);

        let asked = tokio::spawn({
            let announcements = announcements.clone();
            async move { announcements.of("late").await }
        });
        tokio::task::yield_now().await;
        announcements.slots.sent("late".to_owned(), at);
        assert_eq!(asked.await.expect("no panic").expect("seen"), at);
    }
}
