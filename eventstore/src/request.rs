//! One append on its way through an appender: who waits for it, until when, and whether it may still be withdrawn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::error::AppendError;
use crate::event::{Appended, StreamAppend};

const WAITING: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

/// The appender's half.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) streams: Vec<StreamAppend>,
    pub(crate) bytes: usize,
    claim: Arc<AtomicU8>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// The caller's half. Dropping it leaves the append to its fate.
#[derive(Debug)]
pub(crate) struct Ticket {
    claim: Arc<AtomicU8>,
    reply: oneshot::Receiver<Result<Appended, AppendError>>,
}

impl Pending {
    pub(crate) fn new(streams: Vec<StreamAppend>, bytes: usize) -> (Pending, Ticket) {
        let claim = Arc::new(AtomicU8::new(WAITING));
        let (sender, receiver) = oneshot::channel();
        let pending = Pending {
            streams,
            bytes,
            claim: Arc::clone(&claim),
            reply: sender,
        };
        (
            pending,
            Ticket {
                claim,
                reply: receiver,
            },
        )
    }

    /// Marks the append as sent. `false`: its caller has given up, so it must not be stored any more.
    pub(crate) fn claim(&self) -> bool {
        self.claim
            .compare_exchange(WAITING, SENT, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Takes the mark back, for an append that was sent and is known not to be stored.
    pub(crate) fn unclaim(&self) {
        self.claim.store(WAITING, Ordering::Release);
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn event_count(&self) -> usize {
        self.streams.iter().map(|s| s.events.len()).sum()
    }

    pub(crate) fn answer(self, outcome: Result<Appended, AppendError>) {
        // A caller that has gone away does not want the answer.
        drop(self.reply.send(outcome));
    }
}

impl Ticket {
    /// Waits for the answer until `deadline`; then tells apart what was never sent from what may be stored.
    pub(crate) async fn outcome(self, deadline: Instant) -> Result<Appended, AppendError> {
        match timeout_at(deadline, self.reply).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(give_up(&self.claim, "the appender has stopped")),
            Err(_) => Err(give_up(&self.claim, "no answer within the deadline")),
        }
    }
}

fn give_up(claim: &AtomicU8, reason: &str) -> AppendError {
    match claim.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => AppendError::Unavailable(reason.to_owned()),
        Err(_) => AppendError::Unknown,
    }
}
