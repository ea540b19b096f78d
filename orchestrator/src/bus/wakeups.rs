//! The queue of wake-ups that all workers pull from. One handle over a closed set of carriers, which keep one contract:
//!
//! * What is published is delivered to one of those who pull, at least once, in no particular order.
//! * A delivery that is neither acknowledged nor kept alive within [`ACK_WAIT`] is delivered again, to anybody.
//! * After [`MAX_DELIVER`] deliveries a wake-up is dropped and counted. Its saga is found by the sweeper.
//! * Publishing waits for nobody. What cannot be taken is refused and counted.

use std::time::Duration;

use eventstore::EventStore;

use crate::saga::dispatch::{Dispatch, Wakeup};

use super::connection::Broker;
use super::jetstream::{self, JetStream, Standing};
use super::local::{self, Local};

/// How long a delivery may be silent. Its holder keeps it alive several times within this, so only one that is dead or
/// frozen exceeds it; a second look at its sagas does no harm.
pub const ACK_WAIT: Duration = Duration::from_secs(10);

/// How often a holder says that it is still at it.
pub const BEAT_EVERY: Duration = Duration::from_secs(3);

/// Deliveries of one wake-up. Whoever pulled it before either died with it or put it off; after so many the sweeper, which
/// knows what is due, serves the saga better than a queue that does not.
pub const MAX_DELIVER: u32 = 20;

/// What is not for whoever has pulled it is left to another one that pulls as well, longer with each time it comes here.
pub(super) const FOR_OTHERS: Duration = Duration::from_millis(500);

/// What is the same for everybody who uses a queue.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a delivery may be silent.
    pub ack_wait: Duration,
    /// Deliveries of one wake-up.
    pub max_deliver: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ack_wait: ACK_WAIT,
            max_deliver: MAX_DELIVER,
        }
    }
}

/// Wake-ups of this process.
#[derive(Debug, Clone)]
pub struct Wakeups(Carrier);

#[derive(Debug, Clone)]
enum Carrier {
    /// Nobody can be told.
    Nobody,
    Local(Local),
    JetStream(JetStream),
}

/// A wake-up in the hands of a worker. Dropping it unacknowledged leaves it to be delivered again.
#[derive(Debug)]
pub struct Delivery {
    /// What to look at.
    pub wakeup: Wakeup,
    /// How often it was delivered, this time included.
    pub attempt: u32,
    receipt: Receipt,
}

#[derive(Debug)]
enum Receipt {
    Local(local::Receipt),
    JetStream(Box<jetstream::Receipt>),
}

impl Wakeups {
    /// A queue within this process, for shops that are one.
    #[must_use]
    pub fn local() -> Self {
        Self::local_with(Limits::default())
    }

    /// The same with limits of its own.
    #[must_use]
    pub fn local_with(limits: Limits) -> Self {
        Self(Carrier::Local(Local::new(limits)))
    }

    /// For a process that leaves work to others it cannot reach: they find it by sweeping.
    #[must_use]
    pub fn nobody() -> Self {
        Self(Carrier::Nobody)
    }

    /// A queue that all processes of a shop share, with so many copies; if it is not said, with as many as it has. Needs a runtime; the
    /// broker need not be there.
    #[must_use]
    pub fn jetstream(broker: Broker, replicas: Option<usize>, limits: Limits) -> Self {
        let queue = JetStream::new(broker, replicas, limits, None);
        Self(Carrier::JetStream(queue))
    }

    /// The same for sagas of this log: what is known to be of another one is left to those who have that.
    #[must_use]
    pub fn jetstream_of(
        store: EventStore,
        broker: Broker,
        replicas: Option<usize>,
        limits: Limits,
    ) -> Self {
        let queue = JetStream::new(broker, replicas, limits, Some(store));
        Self(Carrier::JetStream(queue))
    }

    /// How the queue does, where it is the broker's.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        match &self.0 {
            Carrier::Nobody | Carrier::Local(_) => None,
            Carrier::JetStream(remote) => Some(remote.standing()),
        }
    }

    /// Puts it into the queue, or at least on the way there. `false`: it is full, cannot be reached, or takes nothing.
    pub fn publish(&self, wakeup: Wakeup) -> bool {
        let taken = match &self.0 {
            Carrier::Nobody => false,
            Carrier::Local(local) => local.publish(wakeup),
            Carrier::JetStream(remote) => remote.publish(wakeup),
        };
        let outcome = if taken { "published" } else { "refused" };
        count(outcome, 1);
        taken
    }

    /// The next wake-ups, at least one and at most so many, as soon as there are any. Dropping it loses none.
    pub async fn pull(&self, max: usize) -> Vec<Delivery> {
        match &self.0 {
            Carrier::Nobody => std::future::pending().await,
            Carrier::Local(local) => local.pull(max).await,
            Carrier::JetStream(remote) => remote.pull(max).await,
        }
    }
}

impl Wakeups {
    /// Takes no more, and gives back what nobody here looks at any more, within about a second. Nobody pulls after this.
    pub async fn give_back(&self) {
        match &self.0 {
            Carrier::Nobody | Carrier::Local(_) => {}
            Carrier::JetStream(remote) => remote.give_back().await,
        }
    }

    /// The same, and sees off what was published. Nobody publishes after this.
    pub async fn close(&self) {
        match &self.0 {
            Carrier::Nobody | Carrier::Local(_) => {}
            Carrier::JetStream(remote) => remote.close().await,
        }
    }
}

impl Dispatch for Wakeups {
    fn dispatch(&self, wakeup: Wakeup) -> bool {
        self.publish(wakeup)
    }
}

impl Delivery {
    pub(super) fn from_local(wakeup: Wakeup, attempt: u32, receipt: local::Receipt) -> Self {
        Self {
            wakeup,
            attempt,
            receipt: Receipt::Local(receipt),
        }
    }

    pub(super) fn from_jetstream(
        wakeup: Wakeup,
        attempt: u32,
        receipt: jetstream::Receipt,
    ) -> Self {
        Self {
            wakeup,
            attempt,
            receipt: Receipt::JetStream(Box::new(receipt)),
        }
    }

    /// Done with. `false`: it is not known to be, and may come again.
    pub async fn ack(self) -> bool {
        match self.receipt {
            Receipt::Local(receipt) => receipt.ack(),
            Receipt::JetStream(receipt) => receipt.ack().await,
        }
    }

    /// Still at it. `false`: somebody else may have it by now.
    pub async fn beat(&self) -> bool {
        match &self.receipt {
            Receipt::Local(receipt) => receipt.beat(),
            Receipt::JetStream(receipt) => receipt.beat().await,
        }
    }

    /// To be delivered again after this time.
    pub async fn later(self, delay: Duration) -> bool {
        match self.receipt {
            Receipt::Local(receipt) => receipt.later(delay),
            Receipt::JetStream(receipt) => receipt.later(delay).await,
        }
    }
}

/// Counted by outcome, never by saga.
pub(super) fn count(outcome: &'static str, by: u64) {
    metrics::counter!("bookmarket_wakeups_total", "outcome" => outcome).increment(by);
}
