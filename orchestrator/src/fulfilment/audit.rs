//! The auditor: reads the whole log and the providers' ledger and says where they break what we promise. Pure, and built
//! from the events alone, not from the code that wrote them.

mod inside;
mod outside;
mod rules;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use eventstore::RecordedEvent;
use uuid::Uuid;

use crate::providers::simulator::ledger::Line;
use inside::Inside;
use outside::Outside;

/// A broken promise. The numbers are those of the invariants in ARCHITECTURE.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: u8,
    /// Of which order, stream or message.
    pub subject: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invariant {}: {}: {}",
            self.invariant, self.subject, self.what
        )
    }
}

/// What the log adds up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events in the log.
    pub events: u64,
    /// Orders placed.
    pub orders: u64,
    /// Orders by status, as the customer sees it.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Orders that were paid at some time.
    pub paid: u64,
    /// Orders whose money went back.
    pub refunded: u64,
    /// Orders that the carrier accepted.
    pub shipped: u64,
    /// Requests to cancel that came too late.
    pub cancel_refused: u64,
    /// Sagas that need a person.
    pub parked: u64,
    /// What they are parked on, as `step: code`.
    pub parked_why: BTreeMap<String, u64>,
    /// Sagas in the middle of something.
    pub in_flight: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages given up.
    pub messages_failed: u64,
    /// Messages that nobody should get any more.
    pub messages_suppressed: u64,
    /// Messages that customers got more than once, by the dealer's books.
    pub messages_doubled: u64,
    /// Money taken, by currency, in minor units.
    pub charged: BTreeMap<String, i64>,
    /// Money given back, by currency, in minor units.
    pub returned: BTreeMap<String, i64>,
}

/// The result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What there is.
    pub counts: Counts,
    /// What is broken; empty means that every promise is kept.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether every promise is kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Takes the log event by event, then the ledger.
#[derive(Debug, Default)]
pub struct Auditor {
    inside: Inside,
    acknowledged: HashSet<Uuid>,
}

impl Auditor {
    /// An auditor who has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody was told that this order exists.
    pub fn acknowledged(&mut self, order: Uuid) {
        self.acknowledged.insert(order);
    }

    /// Takes the next event of the log.
    pub fn observe(&mut self, event: &RecordedEvent) {
        self.inside.observe(event);
    }

    /// Compares what was seen with the providers' ledger.
    #[must_use]
    pub fn compare(self, ledger: &[Line]) -> Report {
        let outside = Outside::read(ledger);
        rules::judge(self.inside, &outside, &self.acknowledged)
    }
}
