//! Orders: what a customer bought, and how far it has come.

mod canonical;
mod command;
mod decide;
mod draft;
mod event;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use command::{Action, Command, Place, Rejection, SealedDetails};
pub use draft::*;
pub use event::*;

use crate::decider::{Decider, IllegalTransition};
use crate::money::Money;
use crate::refusal::Refusal;

/// An order as its stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its id, which its payment, parcel and saga share.
    pub order_id: Uuid,
    /// Who ordered.
    pub customer_id: String,
    /// How far it has come. A cancel on its way does not change it: see [`Order::shown_status`].
    pub status: Status,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Postage, in minor units of the total's currency.
    pub shipping_fee: i64,
    /// Lines and postage together.
    pub total: Money,
    /// How to pay.
    pub payment: Option<SealedPayment>,
    /// Whom to tell.
    pub contact: Option<SealedContact>,
    /// Where to send it.
    pub address: Option<crate::personal::Sealed>,
    /// When we were told.
    pub ordered_at: DateTime<Utc>,
    /// When the customer ordered, if that was earlier and elsewhere.
    pub placed_at: Option<DateTime<Utc>>,
    /// Its number in the system that it came from.
    pub external_id: Option<String>,
    /// Who sent the command.
    pub principal: String,
    /// Hash of the command.
    pub command_hash: String,
    /// What the customer was told first, once there is something to tell. It never changes again.
    pub first_answer: Option<FirstAnswer>,
    /// The provider's reference of the charge.
    pub payment_ref: Option<String>,
    /// The parcel.
    pub parcel: Option<Parcel>,
    /// A request to cancel that is not answered yet.
    pub open_cancel: Option<Cancel>,
    /// Why the last request to cancel was refused.
    pub cancel_refusal: Option<Refusal>,
    /// The cancel that ended the order.
    pub canceled: Option<Cancel>,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Placed; whether it is paid is open.
    Pending,
    /// Paid.
    Paid,
    /// Accepted by the carrier.
    Shipped,
    /// On its way: the point of no return, also where it left although it was canceled.
    HandedOver,
    /// Arrived.
    Delivered,
    /// Not paid, so no order.
    Rejected,
    /// Canceled.
    Canceled,
}

impl Status {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Paid => "Paid",
            Self::Shipped => "Shipped",
            Self::HandedOver => "HandedOver",
            Self::Delivered => "Delivered",
            Self::Rejected => "Rejected",
            Self::Canceled => "Canceled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a customer was told when the order was placed: a function of the first event that could
/// answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAnswer {
    /// Paid.
    Paid,
    /// Wait.
    Pending,
    /// No.
    Rejected(Refusal),
}

/// A parcel, as the carrier knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The carrier.
    pub carrier: String,
    /// The carrier's number of it.
    pub waybill: String,
}

/// A wish to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When it was asked for, or done.
    pub at: DateTime<Utc>,
}

impl Order {
    /// The status on the wire: `Canceling` while a request to cancel is open.
    pub fn shown_status(&self) -> &'static str {
        if self.open_cancel.is_some() {
            "Canceling"
        } else {
            self.status.as_str()
        }
    }

    fn placed(event: &Ordered) -> Self {
        Self {
            order_id: event.order_id,
            customer_id: event.customer_id.clone(),
            status: Status::Pending,
            lines: event.lines.clone(),
            shipping_fee: event.shipping_fee,
            total: Money::new(event.total, event.currency),
            payment: event.payment.clone(),
            contact: event.contact.clone(),
            address: event.address.clone(),
            ordered_at: event.occurred_at,
            placed_at: event.placed_at,
            external_id: event.external_id.clone(),
            principal: event.principal.clone(),
            command_hash: event.command_hash.clone(),
            first_answer: None,
            payment_ref: None,
            parcel: None,
            open_cancel: None,
            cancel_refusal: None,
            canceled: None,
        }
    }

    /// Whether `event` can follow; the one table of the order's life.
    fn admits(&self, event: &OrderEvent) -> bool {
        use Status::{HandedOver, Paid, Pending, Shipped};
        match event {
            OrderEvent::Ordered(_) => false,
            OrderEvent::OrderPending(_) => self.first_answer.is_none(),
            OrderEvent::OrderPaid(_) => self.status == Pending,
            OrderEvent::OrderRejected(_) => self.status == Pending && self.open_cancel.is_none(),
            OrderEvent::OrderShipped(_) => self.status == Paid,
            OrderEvent::OrderHandedOver(_) => self.status == Shipped,
            OrderEvent::OrderDelivered(_) => self.status == HandedOver,
            OrderEvent::OrderCancelRequested(_) => self.can_cancel() && self.open_cancel.is_none(),
            OrderEvent::OrderCancelRefused(_) => self.open_cancel.is_some(),
            OrderEvent::OrderCanceled(_) => self.can_cancel(),
            OrderEvent::OrderCancelTakenBack(_) => self.can_stand(),
        }
    }

    /// Whether the parcel, if there is one, can still be held.
    fn can_cancel(&self) -> bool {
        matches!(
            self.status,
            Status::Pending | Status::Paid | Status::Shipped
        )
    }

    /// Whether it could be a sale after all: it is canceled, and was paid.
    pub fn can_stand(&self) -> bool {
        self.status == Status::Canceled && self.payment_ref.is_some()
    }

    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Ordered(_) => {}
            OrderEvent::OrderPending(_) => self.answer_first(FirstAnswer::Pending),
            OrderEvent::OrderPaid(paid) => {
                self.status = Status::Paid;
                self.payment_ref = Some(paid.payment_ref.clone());
                self.answer_first(FirstAnswer::Paid);
            }
            OrderEvent::OrderRejected(rejected) => {
                self.status = Status::Rejected;
                let refusal = Refusal::new(&rejected.code, &rejected.reason);
                self.answer_first(FirstAnswer::Rejected(refusal));
            }
            OrderEvent::OrderShipped(shipped) => {
                self.status = Status::Shipped;
                let (carrier, waybill) = (shipped.carrier.clone(), shipped.waybill.clone());
                self.parcel = Some(Parcel { carrier, waybill });
            }
            OrderEvent::OrderHandedOver(_) => self.status = Status::HandedOver,
            OrderEvent::OrderDelivered(_) => self.status = Status::Delivered,
            OrderEvent::OrderCancelRequested(asked) => {
                let (reason, actor) = (asked.reason.clone(), asked.actor.clone());
                self.open_cancel = Some(Cancel {
                    reason,
                    actor,
                    at: asked.occurred_at,
                });
            }
            OrderEvent::OrderCancelRefused(refused) => {
                self.open_cancel = None;
                self.cancel_refusal = Some(Refusal::new(&refused.code, &refused.reason));
            }
            OrderEvent::OrderCanceled(canceled) => {
                self.status = Status::Canceled;
                self.open_cancel = None;
                let (reason, actor) = (canceled.reason.clone(), canceled.actor.clone());
                self.canceled = Some(Cancel {
                    reason,
                    actor,
                    at: canceled.occurred_at,
                });
            }
            OrderEvent::OrderCancelTakenBack(back) => {
                self.status = Status::HandedOver;
                self.canceled = None;
                self.cancel_refusal = Some(Refusal::new(&back.code, &back.reason));
            }
        }
    }

    fn answer_first(&mut self, answer: FirstAnswer) {
        self.first_answer.get_or_insert(answer);
    }
}

impl Decider for Order {
    /// `None` until it is placed.
    type State = Option<Order>;
    type Command = Command;
    type Event = OrderEvent;
    type Rejection = Rejection;

    fn decide(state: &Option<Order>, command: &Command) -> Result<Vec<OrderEvent>, Rejection> {
        decide::decide(state.as_ref(), command)
    }

    fn evolve(
        state: Option<Order>,
        event: &OrderEvent,
    ) -> Result<Option<Order>, IllegalTransition> {
        let illegal = |state| IllegalTransition {
            aggregate: "order",
            state,
            event: event.name(),
        };
        match (state, event) {
            (None, OrderEvent::Ordered(ordered)) => Ok(Some(Self::placed(ordered))),
            (None, _) => Err(illegal("nothing")),
            (Some(mut order), event) if order.admits(event) => {
                order.apply(event);
                Ok(Some(order))
            }
            (Some(order), _) => Err(illegal(order.shown_status())),
        }
    }
}
