//! Wake-ups on their way to the broker.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::letter;
use super::standing::Part;
use super::{BoxError, SUBJECT, Shared, TRY_AGAIN, TRY_AGAIN_MAX};
use crate::bus::wakeups::count;
use crate::saga::dispatch::Wakeup;

/// Publishes whose answer is waited for at once.
const UNANSWERED_MAX: usize = 256;

impl Shared {
    async fn send(&self, wakeup: &Wakeup) -> Result<(), BoxError> {
        let payload = letter::write(wakeup, self.origin.label())?;
        let sent = self.broker.jetstream().publish(SUBJECT, payload.into());
        sent.await?.await?;
        Ok(())
    }

    /// Gives it back if the broker does not take it.
    async fn try_send(&self, wakeup: Wakeup) -> Result<(), Wakeup> {
        match self.send(&wakeup).await {
            Ok(()) => {
                self.on_their_way.fetch_sub(1, Ordering::Relaxed);
                self.standing.clear(Part::Sending);
                Ok(())
            }
            Err(error) => {
                self.fails(Part::Sending, &*error);
                Err(wakeup)
            }
        }
    }
}

/// Publishes until nobody can want it any more.
pub(super) async fn publish_all(shared: Weak<Shared>, mut outgoing: mpsc::Receiver<Wakeup>) {
    let mut unanswered = JoinSet::new();
    loop {
        tokio::select! {
            Some(sent) = unanswered.join_next() => {
                if let Ok(Err(refused)) = sent {
                    insist(&shared, refused).await;
                }
            }
            wakeup = outgoing.recv(), if unanswered.len() < UNANSWERED_MAX => {
                let (Some(wakeup), Some(shared)) = (wakeup, shared.upgrade()) else {
                    return;
                };
                unanswered.spawn(async move { shared.try_send(wakeup).await });
            }
        }
    }
}

/// Tries with one wake-up until the broker takes it. Meanwhile no other is sent: what is in its way is in that of all.
async fn insist(shared: &Weak<Shared>, mut wakeup: Wakeup) {
    let mut pause = TRY_AGAIN;
    while let Some(queue) = shared.upgrade() {
        if queue.broker.is_connected() {
            count("retried", 1);
            match queue.try_send(wakeup).await {
                Ok(()) => return,
                Err(refused) => wakeup = refused,
            }
        }
        drop(queue);
        sleep(pause).await;
        pause = (pause * 2).min(TRY_AGAIN_MAX);
    }
}
