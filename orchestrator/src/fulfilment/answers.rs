//! What a customer is told about an order first: a pure function of its first events, so that a repeat of the command gets
//! the same answer whatever has happened since, on any node.

use aggregates::codec;
use aggregates::order::{Order, OrderEvent, Ordered};
use aggregates::{Event, refusal::Refusal};
use chrono::{DateTime, Utc};
use eventstore::{Checkpoint, RecordedEvent};

use crate::execute::{Aggregate, FoldError};

/// The first answer to an order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderAnswer {
    /// The order as it was placed.
    pub ordered: Ordered,
    /// What became of it first.
    pub verdict: Verdict,
    /// When that was.
    pub answered_at: DateTime<Utc>,
    /// The event that decided it: what a reader must have seen to know as much as this answer.
    pub checkpoint: Checkpoint,
}

/// What became of an order first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Paid.
    Paid {
        /// The provider's reference of the charge.
        payment_ref: String,
    },
    /// The payment is open; the order goes on by itself.
    Pending,
    /// No payment, no order.
    Rejected(Refusal),
}

/// What an order's stream says so far about how it was placed.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// There is no such order.
    Nothing,
    /// It was placed and not answered yet.
    Placed(Box<Ordered>),
    /// It was answered.
    Answered(Box<OrderAnswer>),
}

/// Reads the first answer out of an order's events; others are passed over.
pub fn told<'a>(events: impl IntoIterator<Item = &'a RecordedEvent>) -> Result<Told, FoldError> {
    let mut told = Told::Nothing;
    for event in events
        .into_iter()
        .filter(|event| event.stream.category == Order::CATEGORY)
    {
        let decoded = codec::decode(&event.event_type, event.schema_version, &event.data)?;
        let Event::Order(decoded) = decoded else {
            continue;
        };
        let verdict = match (&decoded, &told) {
            (OrderEvent::Ordered(ordered), Told::Nothing) => {
                told = Told::Placed(Box::new(ordered.clone()));
                continue;
            }
            (OrderEvent::OrderPaid(paid), _) => Verdict::Paid {
                payment_ref: paid.payment_ref.clone(),
            },
            (OrderEvent::OrderPending(_), _) => Verdict::Pending,
            (OrderEvent::OrderRejected(no), _) => {
                Verdict::Rejected(Refusal::new(&no.code, &no.reason))
            }
            _ => continue,
        };
        if let Told::Placed(ordered) = told {
            return Ok(Told::Answered(Box::new(OrderAnswer {
                ordered: *ordered,
                verdict,
                answered_at: decoded.occurred_at(),
                checkpoint: event.checkpoint(),
            })));
        }
    }
    Ok(told)
}
