//! What happened to an order, in words.

use chrono::{DateTime, Utc};
use projections::customer::TimelineEntry;
use serde::Serialize;

/// Something that happened.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    at: DateTime<Utc>,
    event: &'a str,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
}

impl<'a> From<&'a TimelineEntry> for Told<'a> {
    fn from(entry: &'a TimelineEntry) -> Told<'a> {
        Told {
            at: entry.at,
            event: &entry.event,
            text: sentence(&entry.event),
        }
    }
}

/// A sentence for every event that a customer's row takes.
fn sentence(event: &str) -> Option<&'static str> {
    Some(match event {
        "Ordered" => "The order was placed.",
        "OrderPending" => "The payment takes longer than usual.",
        "OrderPaid" => "The order is confirmed.",
        "OrderRejected" => "The order was not accepted.",
        "OrderShipped" => "The order is ready to leave.",
        "OrderHandedOver" => "The order has left; it cannot be canceled any more.",
        "OrderDelivered" => "The order is complete.",
        "OrderCancelRequested" => "It was asked to cancel the order.",
        "OrderCancelRefused" => "The request to cancel was refused.",
        "OrderCanceled" => "The order was canceled.",
        "OrderCancelTakenBack" => "The parcel had left all the same: the order stands.",
        "Paid" => "The money was taken.",
        "PaymentDeclined" => "The payment was declined; nothing was taken.",
        "PayCanceled" => "The money was given back.",
        "RefundRefused" => {
            "The payment provider refused to give the money back; somebody sees to it."
        }
        "ExcessCharged" => "Money was taken that nobody owed.",
        "ExcessReturned" => "The money that nobody owed was given back.",
        "MismatchFound" => "Our books and the payment provider's differ; somebody looks into it.",
        "MismatchSettled" => "Our books and the payment provider's agree again.",
        "Shipped" => "The carrier has accepted the parcel.",
        "ShipmentRefused" => "The carrier does not take the parcel.",
        "DeliveryHeld" => "The carrier keeps the parcel.",
        "HoldRefused" => "The carrier cannot keep the parcel any more.",
        "HandedOver" => "The carrier has taken the parcel along.",
        "InTransit" => "The parcel is between the carrier's depots.",
        "OutForDelivery" => "The parcel is out for delivery.",
        "TrackingException" => "Something came between on the parcel's way.",
        "Delivered" => "The parcel has arrived.",
        "DeliveryCanceled" => "The delivery was called off.",
        "DeliveryException" => "The parcel left although it was held back; somebody sees to it.",
        "TrackingLost" => {
            "The carrier has not told of the parcel for too long; nobody asks any more."
        }
        "MessageRequested" => "A message is on its way.",
        "SentMessage" => "A message was sent.",
        "MessageFailed" => "A message could not be sent.",
        "MessageSuppressed" => "A message was not sent: it was not wanted any more.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use aggregates::delivery::DeliveryEvent;
    use aggregates::kakao::KakaoEvent;
    use aggregates::order::OrderEvent;
    use aggregates::payment::PaymentEvent;

    use super::*;

    #[test]
    fn there_is_a_sentence_for_every_event_of_an_order() {
        let types = [
            OrderEvent::TYPES,
            PaymentEvent::TYPES,
            DeliveryEvent::TYPES,
            KakaoEvent::TYPES,
        ];
        for (event, _) in types.into_iter().flatten() {
            assert!(sentence(event).is_some(), "{event}");
        }
        assert_eq!(sentence("StepStarted"), None);
    }
}
