//! Deliveries: the parcel of one order.
//!
//! A carrier's scans are facts, but a parcel that is held or cancelled cannot be recorded as
//! leaving: that is a [`DeliveryException`], which somebody has to look at. With that on record a
//! held parcel may be recorded as having left.

mod decide;
mod event;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use decide::{Action, Command, Rejection};
pub use event::*;

use crate::decider::{Decider, IllegalTransition};
use crate::money::Money;
use crate::refusal::Refusal;

/// The delivery of one order as its stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The order that is delivered.
    pub order_id: Uuid,
    /// Who gets it.
    pub customer_id: String,
    /// Where the parcel is.
    pub status: Status,
    /// The parcel, once the carrier has accepted it.
    pub parcel: Option<Parcel>,
    /// Why the carrier did not accept it.
    pub refusal: Option<Refusal>,
    /// Why the carrier did not hold it, the last time we asked.
    pub hold_refusal: Option<Refusal>,
    /// What went wrong with it.
    pub exception: Option<Exception>,
    /// Nobody is asking for it any more.
    pub tracking_lost: bool,
    /// How far it is between the van and the door.
    pub scans: Scans,
    /// When anything last happened.
    pub updated_at: DateTime<Utc>,
}

/// Where a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The carrier refused it.
    ShipmentRefused,
    /// The carrier accepted it; it is still with us.
    Shipped,
    /// It will not leave.
    Held,
    /// It has left.
    HandedOver,
    /// It arrived.
    Delivered,
    /// There is none, and nothing will leave.
    Canceled,
}

impl Status {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ShipmentRefused => "ShipmentRefused",
            Self::Shipped => "Shipped",
            Self::Held => "DeliveryHeld",
            Self::HandedOver => "HandedOver",
            Self::Delivered => "Delivered",
            Self::Canceled => "DeliveryCanceled",
        }
    }
}

/// A parcel as the carrier knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The carrier.
    pub carrier: String,
    /// The carrier's number of it.
    pub waybill: String,
}

/// What the carrier saw on the way. None of it decides anything; each is told once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scans {
    /// When it was first seen between depots.
    pub in_transit_at: Option<DateTime<Utc>>,
    /// When it was first seen on its way to the door.
    pub out_for_delivery_at: Option<DateTime<Utc>>,
    /// The last thing that came between, and when.
    pub trouble: Option<(DateTime<Utc>, String)>,
}

/// Something that a parcel must not do and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// What it did.
    pub refusal: Refusal,
    /// The money at stake.
    pub at_stake: Money,
    /// When.
    pub at: DateTime<Utc>,
}

impl Delivery {
    /// Whether the parcel is out of our hands.
    pub fn has_left(&self) -> bool {
        matches!(self.status, Status::HandedOver | Status::Delivered)
    }

    /// Whether a scan would be a fact like any other.
    fn can_leave(&self) -> bool {
        self.status == Status::Shipped || (self.status == Status::Held && self.exception.is_some())
    }

    /// The first event makes the delivery; a refusal to hold or a scan needs a parcel.
    fn begin(event: &DeliveryEvent) -> Option<Self> {
        let status = match event {
            DeliveryEvent::Shipped(_) => Status::Shipped,
            DeliveryEvent::ShipmentRefused(_) => Status::ShipmentRefused,
            DeliveryEvent::DeliveryCanceled(_) => Status::Canceled,
            DeliveryEvent::DeliveryHeld(_)
            | DeliveryEvent::HoldRefused(_)
            | DeliveryEvent::HandedOver(_)
            | DeliveryEvent::Delivered(_)
            | DeliveryEvent::DeliveryException(_)
            | DeliveryEvent::TrackingLost(_)
            | DeliveryEvent::InTransit(_)
            | DeliveryEvent::OutForDelivery(_)
            | DeliveryEvent::TrackingException(_) => return None,
        };
        let head = event.head();
        Some(Self {
            order_id: head.id,
            customer_id: head.customer_id.to_owned(),
            status,
            parcel: None,
            refusal: None,
            hold_refusal: None,
            exception: None,
            tracking_lost: false,
            scans: Scans::default(),
            updated_at: head.occurred_at,
        })
    }

    /// Whether `event` can follow; the one table of the parcel's life.
    fn admits(&self, event: &DeliveryEvent) -> bool {
        use Status::{Canceled, Delivered, HandedOver, Held, ShipmentRefused, Shipped};
        match event {
            DeliveryEvent::Shipped(_) => matches!(self.status, ShipmentRefused | Canceled),
            DeliveryEvent::ShipmentRefused(_) => false,
            DeliveryEvent::DeliveryHeld(_) => self.status == Shipped,
            DeliveryEvent::HoldRefused(_) => {
                matches!(self.status, Shipped | HandedOver | Delivered)
            }
            DeliveryEvent::HandedOver(_) => self.can_leave(),
            DeliveryEvent::Delivered(_) => self.status == HandedOver,
            DeliveryEvent::DeliveryCanceled(_) => {
                matches!(self.status, ShipmentRefused | Shipped | Held)
            }
            DeliveryEvent::DeliveryException(_) => self.parcel.is_some(),
            DeliveryEvent::TrackingLost(_) => {
                (self.can_leave() || self.status == HandedOver) && !self.tracking_lost
            }
            DeliveryEvent::InTransit(_)
            | DeliveryEvent::OutForDelivery(_)
            | DeliveryEvent::TrackingException(_) => self.status == HandedOver,
        }
    }

    fn apply(&mut self, event: &DeliveryEvent) {
        match event {
            DeliveryEvent::Shipped(shipped) => {
                self.status = Status::Shipped;
                let (carrier, waybill) = (shipped.carrier.clone(), shipped.waybill.clone());
                self.parcel = Some(Parcel { carrier, waybill });
                // What was said of a parcel before says nothing of this one.
                (self.refusal, self.hold_refusal) = (None, None);
                (self.exception, self.tracking_lost) = (None, false);
                self.scans = Scans::default();
            }
            DeliveryEvent::ShipmentRefused(refused) => {
                self.refusal = Some(Refusal::new(&refused.code, &refused.reason))
            }
            DeliveryEvent::DeliveryHeld(_) => self.status = Status::Held,
            DeliveryEvent::HoldRefused(refused) => {
                self.hold_refusal = Some(Refusal::new(&refused.code, &refused.reason))
            }
            DeliveryEvent::HandedOver(_) => self.status = Status::HandedOver,
            DeliveryEvent::Delivered(_) => self.status = Status::Delivered,
            DeliveryEvent::DeliveryCanceled(_) => self.status = Status::Canceled,
            DeliveryEvent::DeliveryException(exception) => {
                self.exception = Some(Exception {
                    refusal: Refusal::new(&exception.code, &exception.reason),
                    at_stake: Money::new(exception.amount, exception.currency),
                    at: exception.occurred_at,
                });
            }
            DeliveryEvent::TrackingLost(_) => self.tracking_lost = true,
            DeliveryEvent::InTransit(seen) => self.scans.in_transit_at = Some(seen.scanned_at),
            DeliveryEvent::OutForDelivery(seen) => {
                self.scans.out_for_delivery_at = Some(seen.scanned_at);
            }
            DeliveryEvent::TrackingException(seen) => {
                self.scans.trouble = Some((seen.scanned_at, seen.reason.clone()));
            }
        }
        self.updated_at = event.occurred_at();
    }
}

impl Decider for Delivery {
    /// `None` until the carrier has said something final, or the delivery was called off before.
    type State = Option<Delivery>;
    type Command = Command;
    type Event = DeliveryEvent;
    type Rejection = Rejection;

    fn decide(
        state: &Option<Delivery>,
        command: &Command,
    ) -> Result<Vec<DeliveryEvent>, Rejection> {
        decide::decide(state.as_ref(), command)
    }

    fn evolve(
        state: Option<Delivery>,
        event: &DeliveryEvent,
    ) -> Result<Option<Delivery>, IllegalTransition> {
        let illegal = |state| IllegalTransition {
            aggregate: "delivery",
            state,
            event: event.name(),
        };
        let mut delivery = match state {
            None => Self::begin(event).ok_or_else(|| illegal("nothing"))?,
            Some(delivery) if delivery.admits(event) => delivery,
            Some(delivery) => return Err(illegal(delivery.status.as_str())),
        };
        delivery.apply(event);
        Ok(Some(delivery))
    }
}
