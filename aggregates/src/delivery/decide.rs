//! What can be recorded about a delivery, and what is refused.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Delivered, Delivery, DeliveryCanceled, DeliveryEvent, DeliveryException, DeliveryHeld,
    HandedOver, HoldRefused, InTransit, OutForDelivery, Scans, ShipmentRefused, Shipped, Status,
    TrackingException, TrackingLost,
};
use crate::instant::to_millis;
use crate::money::Money;

/// An answer or a scan of the carrier about one order's parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The order.
    pub order_id: Uuid,
    /// Its customer.
    pub customer_id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub action: Action,
}

/// What the carrier said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It accepts the shipment.
    RecordShipment {
        /// The carrier.
        carrier: String,
        /// Its number of the parcel.
        waybill: String,
    },
    /// It refuses the shipment for good.
    RecordRefusal {
        /// Its word for why.
        code: String,
        /// A sentence for people.
        reason: String,
    },
    /// It promises that the parcel does not leave.
    RecordHold,
    /// It cannot hold the parcel.
    RecordHoldRefusal {
        /// Its word for why.
        code: String,
        /// A sentence for people.
        reason: String,
    },
    /// It scanned the parcel.
    RecordHandover,
    /// It delivered the parcel.
    RecordDelivery,
    /// The shipment is off.
    RecordCancel,
    /// The parcel did what it must not do.
    RecordException {
        /// A stable word, such as `scan-after-hold`.
        code: String,
        /// A sentence for people.
        reason: String,
        /// The money at stake.
        at_stake: Money,
    },
    /// It has been silent for too long.
    RecordTrackingLost,
    /// What it saw on the way so far; only what is new is recorded.
    RecordScans(Scans),
}

/// Why something is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The carrier knows of no parcel.
    #[error("there is no parcel")]
    NoParcel,
    /// The order has another parcel.
    #[error("the parcel {recorded:?} is on record")]
    AnotherParcel {
        /// The number of that parcel.
        recorded: String,
    },
    /// The carrier accepted before it refused.
    #[error("the shipment was accepted")]
    AlreadyShipped,
    /// The parcel has left.
    #[error("the parcel is with the carrier")]
    PastPointOfNoReturn,
    /// The hold was granted, so it was not refused, and a scan after it is an exception.
    #[error("the parcel is held")]
    Held,
    /// The shipment is off, and a scan after that is an exception.
    #[error("the delivery is canceled")]
    Canceled,
}

pub(super) fn decide(
    state: Option<&Delivery>,
    command: &Command,
) -> Result<Vec<DeliveryEvent>, Rejection> {
    let now = Now { command };
    match (&command.action, state) {
        (Action::RecordShipment { carrier, waybill }, state) => now.ship(state, carrier, waybill),
        (Action::RecordRefusal { code, reason }, state) => now.refuse(state, code, reason),
        (Action::RecordCancel, state) => now.cancel(state),
        (_, None) => Err(Rejection::NoParcel),
        (Action::RecordHold, Some(delivery)) => now.hold(delivery),
        (Action::RecordHoldRefusal { code, reason }, Some(delivery)) => {
            now.refuse_hold(delivery, code, reason)
        }
        (Action::RecordHandover, Some(delivery)) => now.hand_over(delivery),
        (Action::RecordDelivery, Some(delivery)) => now.deliver(delivery),
        (
            Action::RecordException {
                code,
                reason,
                at_stake,
            },
            Some(delivery),
        ) => now.except(delivery, code, reason, *at_stake),
        (Action::RecordTrackingLost, Some(delivery)) => now.lose(delivery),
        (Action::RecordScans(scans), Some(delivery)) => Ok(now.see(delivery, scans)),
    }
}

/// The command being decided: every event takes its order, customer and time from it.
struct Now<'a> {
    command: &'a Command,
}

/// An event of the command's order, customer and time.
macro_rules! now {
    ($now:ident, $event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        DeliveryEvent::from($event {
            order_id: $now.command.order_id,
            customer_id: $now.command.customer_id.clone(),
            occurred_at: to_millis($now.command.at),
            $($field: $value),*
        })
    };
}

impl Now<'_> {
    /// A shipment that turns up after the delivery was called off is a fact that has to be undone
    /// again.
    fn ship(
        &self,
        state: Option<&Delivery>,
        carrier: &str,
        waybill: &str,
    ) -> Result<Vec<DeliveryEvent>, Rejection> {
        if let Some(delivery) = state {
            match (&delivery.parcel, delivery.status) {
                (Some(parcel), _) if parcel.carrier == carrier && parcel.waybill == waybill => {
                    return Ok(vec![]);
                }
                (_, Status::ShipmentRefused | Status::Canceled) | (None, _) => {}
                (Some(parcel), _) => {
                    return Err(Rejection::AnotherParcel {
                        recorded: parcel.waybill.clone(),
                    });
                }
            }
        }
        Ok(vec![now!(
            self,
            Shipped {
                carrier: carrier.to_owned(),
                waybill: waybill.to_owned()
            }
        )])
    }

    fn refuse(
        &self,
        state: Option<&Delivery>,
        code: &str,
        reason: &str,
    ) -> Result<Vec<DeliveryEvent>, Rejection> {
        match state.map(|delivery| delivery.status) {
            None => Ok(vec![now!(
                self,
                ShipmentRefused {
                    code: code.to_owned(),
                    reason: reason.to_owned()
                }
            )]),
            Some(Status::ShipmentRefused) => Ok(vec![]),
            Some(Status::Canceled) => Err(Rejection::Canceled),
            Some(_) => Err(Rejection::AlreadyShipped),
        }
    }

    fn hold(&self, delivery: &Delivery) -> Result<Vec<DeliveryEvent>, Rejection> {
        match delivery.status {
            Status::ShipmentRefused => Err(Rejection::NoParcel),
            Status::Shipped => Ok(vec![now!(self, DeliveryHeld {})]),
            Status::Held | Status::Canceled => Ok(vec![]),
            Status::HandedOver | Status::Delivered => Err(Rejection::PastPointOfNoReturn),
        }
    }

    /// The same no twice is one fact; a no for another reason is another.
    fn refuse_hold(
        &self,
        delivery: &Delivery,
        code: &str,
        reason: &str,
    ) -> Result<Vec<DeliveryEvent>, Rejection> {
        let same = |known: &crate::refusal::Refusal| known.code == code && known.reason == reason;
        match delivery.status {
            Status::ShipmentRefused => Err(Rejection::NoParcel),
            Status::Held => Err(Rejection::Held),
            Status::Canceled => Err(Rejection::Canceled),
            Status::Shipped | Status::HandedOver | Status::Delivered => {
                match &delivery.hold_refusal {
                    Some(known) if same(known) => Ok(vec![]),
                    _ => Ok(vec![now!(
                        self,
                        HoldRefused {
                            code: code.to_owned(),
                            reason: reason.to_owned()
                        }
                    )]),
                }
            }
        }
    }

    fn hand_over(&self, delivery: &Delivery) -> Result<Vec<DeliveryEvent>, Rejection> {
        match delivery.status {
            _ if delivery.can_leave() => Ok(vec![now!(self, HandedOver {})]),
            Status::Shipped | Status::HandedOver | Status::Delivered => Ok(vec![]),
            Status::ShipmentRefused => Err(Rejection::NoParcel),
            Status::Held => Err(Rejection::Held),
            Status::Canceled => Err(Rejection::Canceled),
        }
    }

    /// A carrier may tell of the arrival before it tells of the departure; the parcel has had both
    /// then.
    fn deliver(&self, delivery: &Delivery) -> Result<Vec<DeliveryEvent>, Rejection> {
        let mut events = self.hand_over(delivery)?;
        if delivery.status != Status::Delivered {
            events.push(now!(self, Delivered {}));
        }
        Ok(events)
    }

    /// A delivery can be called off before it began, so that a shipment on its way is met by that.
    fn cancel(&self, state: Option<&Delivery>) -> Result<Vec<DeliveryEvent>, Rejection> {
        match state.map(|delivery| delivery.status) {
            None | Some(Status::ShipmentRefused | Status::Shipped | Status::Held) => {
                Ok(vec![now!(self, DeliveryCanceled {})])
            }
            Some(Status::Canceled) => Ok(vec![]),
            Some(Status::HandedOver | Status::Delivered) => Err(Rejection::PastPointOfNoReturn),
        }
    }

    fn except(
        &self,
        delivery: &Delivery,
        code: &str,
        reason: &str,
        at_stake: Money,
    ) -> Result<Vec<DeliveryEvent>, Rejection> {
        if delivery.parcel.is_none() {
            return Err(Rejection::NoParcel);
        }
        match &delivery.exception {
            Some(known) if known.refusal.code == code => Ok(vec![]),
            _ => Ok(vec![now!(
                self,
                DeliveryException {
                    code: code.to_owned(),
                    reason: reason.to_owned(),
                    amount: at_stake.amount,
                    currency: at_stake.currency,
                }
            )]),
        }
    }

    fn lose(&self, delivery: &Delivery) -> Result<Vec<DeliveryEvent>, Rejection> {
        match delivery.status {
            _ if delivery.tracking_lost => Ok(vec![]),
            Status::HandedOver => Ok(vec![now!(self, TrackingLost {})]),
            _ if delivery.can_leave() => Ok(vec![now!(self, TrackingLost {})]),
            Status::Shipped | Status::Delivered => Ok(vec![]),
            Status::ShipmentRefused => Err(Rejection::NoParcel),
            Status::Held => Err(Rejection::Held),
            Status::Canceled => Err(Rejection::Canceled),
        }
    }

    /// Scans matter between the van and the door; before and after they say nothing that is not known.
    fn see(&self, delivery: &Delivery, scans: &Scans) -> Vec<DeliveryEvent> {
        let (known, mut events) = (&delivery.scans, Vec::new());
        if delivery.status != Status::HandedOver {
            return events;
        }
        if let Some(at) = scans
            .in_transit_at
            .filter(|_| known.in_transit_at.is_none())
        {
            let scanned_at = to_millis(at);
            events.push(now!(
                self,
                InTransit {
                    scanned_at: scanned_at
                }
            ));
        }
        if let Some((at, reason)) = &scans.trouble {
            let (scanned_at, reason) = (to_millis(*at), reason.clone());
            let last = known.trouble.as_ref();
            if last.is_none_or(|(last, _)| *last < scanned_at) {
                events.push(now!(
                    self,
                    TrackingException {
                        reason: reason,
                        scanned_at: scanned_at
                    }
                ));
            }
        }
        if let Some(at) = scans
            .out_for_delivery_at
            .filter(|_| known.out_for_delivery_at.is_none())
        {
            let scanned_at = to_millis(at);
            events.push(now!(
                self,
                OutForDelivery {
                    scanned_at: scanned_at
                }
            ));
        }
        events
    }
}

impl Delivery {
    /// Whether these scans say more than is on record.
    pub fn learns(&self, scans: &Scans) -> bool {
        let command = Command {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            at: self.updated_at,
            action: Action::RecordScans(scans.clone()),
        };
        decide(Some(self), &command).is_ok_and(|events| !events.is_empty())
    }
}
