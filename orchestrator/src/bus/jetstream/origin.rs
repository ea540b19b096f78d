//! Which log a wake-up is of. Shops that were given one broker by mistake must not take each other's: whoever has no such saga would
//! say that it is done with.

use std::time::Duration;

use eventstore::EventStore;
use tokio::sync::watch;
use tokio::time::sleep;
use uuid::Uuid;

/// How often the label is read: it may be renewed beside a running shop.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// The same while it could not be read yet.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// The log of this process.
#[derive(Debug)]
pub(super) struct Origin(Option<watch::Receiver<Option<Uuid>>>);

impl Origin {
    /// Of this log, or of whatever log. Needs a runtime.
    pub(super) fn new(store: Option<EventStore>) -> Self {
        Self(store.map(|store| {
            let (known, label) = watch::channel(None);
            tokio::spawn(read(store, known));
            label
        }))
    }

    /// Its label, as far as it is known.
    pub(super) fn label(&self) -> Option<Uuid> {
        self.0.as_ref().and_then(|label| *label.borrow())
    }

    /// Resolves once it is known what is to be taken.
    pub(super) async fn known(&self) {
        if let Some(label) = &self.0 {
            // Whoever reads it does so for as long as this is here.
            drop(label.clone().wait_for(Option::is_some).await);
        }
    }

    /// Whether what says that it is of that log is of another one. A release that says nothing is taken at its word.
    pub(super) fn is_not(&self, said: Option<Uuid>) -> bool {
        matches!((self.label(), said), (Some(own), Some(said)) if own != said)
    }
}

/// Reads the label until nobody wants to know it.
async fn read(store: EventStore, known: watch::Sender<Option<Uuid>>) {
    loop {
        match store.epoch().await {
            Ok(label) => {
                known.send_replace(Some(label));
            }
            Err(error) => tracing::debug!(%error, "the label of the log was not read"),
        }
        let is_known = known.borrow().is_some();
        let pause = if is_known { READ_AGAIN } else { TRY_AGAIN };
        tokio::select! {
            () = sleep(pause) => {}
            () = known.closed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_of_another_log_is_not_of_this_one() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (_known, label) = watch::channel(Some(own));
        let origin = Origin(Some(label));
        assert!(origin.is_not(Some(other)));
        assert!(!origin.is_not(Some(own)) && !origin.is_not(None));
        assert!(!Origin(None).is_not(Some(other)));
    }
}
