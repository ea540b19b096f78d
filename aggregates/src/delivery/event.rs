//! What is recorded on `delivery-X`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::event::{Head, events};
use crate::money::Currency;

events! {
    /// What happens to the parcel of an order.
    DeliveryEvent is Delivery
    every {
        /// The order that is delivered, and the id of the stream.
        order_id: Uuid,
        /// Who gets it.
        customer_id: String,
        /// When it happened, to the millisecond.
        #[serde(deserialize_with = "crate::instant::deserialize")]
        occurred_at: DateTime<Utc>,
    }
    head(name, event) {
        Head::of_order(name, event.order_id, &event.customer_id, event.occurred_at)
    }

    /// The carrier accepted the shipment; the parcel is still with us.
    Shipped v 1 {
        /// The carrier.
        carrier: String,
        /// The carrier's number of the parcel.
        waybill: String,
    }
    /// The carrier refuses the shipment for good.
    ShipmentRefused v 1 {
        /// The carrier's word for why.
        code: String,
        /// A sentence for people.
        reason: String,
    }
    /// The carrier promised that the parcel does not leave.
    DeliveryHeld v 1 {}
    /// The carrier cannot stop the parcel any more.
    HoldRefused v 1 {
        /// The carrier's word for why.
        code: String,
        /// A sentence for people.
        reason: String,
    }
    /// The carrier scanned the parcel: it has left.
    HandedOver v 1 {}
    /// The carrier says that it arrived.
    Delivered v 1 {}
    /// The shipment is off; the parcel stays.
    DeliveryCanceled v 1 {}
    /// The parcel did what it must not do, such as leaving after a granted hold. People have to
    /// look.
    DeliveryException v 1 {
        /// A stable word, such as `scan-after-hold`.
        code: String,
        /// A sentence for people.
        reason: String,
        /// The money at stake, in minor units.
        amount: i64,
        /// Of this currency.
        currency: Currency,
    }
    /// The carrier has not said anything for so long that we stopped asking.
    TrackingLost v 1 {}
    /// The carrier moves the parcel between its depots.
    InTransit v 1 {
        /// When the carrier saw that.
        #[serde(
            serialize_with = "crate::instant::serialize",
            deserialize_with = "crate::instant::deserialize"
        )]
        scanned_at: DateTime<Utc>,
    }
    /// The parcel is in the van that goes to the door.
    OutForDelivery v 1 {
        /// When the carrier saw that.
        #[serde(
            serialize_with = "crate::instant::serialize",
            deserialize_with = "crate::instant::deserialize"
        )]
        scanned_at: DateTime<Utc>,
    }
    /// Something came between on the way, such as nobody at home; the carrier goes on.
    TrackingException v 1 {
        /// The carrier's words.
        reason: String,
        /// When the carrier saw that.
        #[serde(
            serialize_with = "crate::instant::serialize",
            deserialize_with = "crate::instant::deserialize"
        )]
        scanned_at: DateTime<Utc>,
    }
}
