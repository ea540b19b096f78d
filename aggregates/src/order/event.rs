//! What is recorded on `order-X`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{Head, events};
use crate::money::Currency;
use crate::personal::Sealed;

/// One position of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The shop's code of the book; not always an ISBN.
    pub book_id: String,
    /// How many.
    pub qty: u32,
    /// Price of one, in minor units. Zero is a gift.
    pub unit_price: i64,
    /// The title, where the shop sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// How the customer pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPayment {
    /// The provider's word for the method, such as `card`.
    pub method: String,
    /// What the provider is asked to charge.
    pub token: Sealed,
}

/// Whom to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedContact {
    /// The recipient's name.
    pub name: Sealed,
    /// The recipient's phone number.
    pub phone: Sealed,
}

events! {
    /// What happens to an order.
    OrderEvent is Order
    every {
        /// The order, and the id of its stream.
        order_id: Uuid,
        /// Who ordered.
        customer_id: String,
        /// When it happened, to the millisecond.
        #[serde(deserialize_with = "crate::instant::deserialize")]
        occurred_at: DateTime<Utc>,
    }
    head(name, event) {
        Head::of_order(name, event.order_id, &event.customer_id, event.occurred_at)
    }

    /// The order was placed; nothing is charged yet.
    Ordered v 1 {
        /// The first line's book, where the old services had its only one.
        book_id: String,
        /// The first line's quantity.
        qty: u32,
        /// All lines.
        lines: Vec<Line>,
        /// Postage, in minor units.
        shipping_fee: i64,
        /// Currency of all amounts.
        currency: Currency,
        /// Lines and postage together: what is charged.
        total: i64,
        /// How to pay; none where the shop has an agreement with the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment: Option<SealedPayment>,
        /// Whom to tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<SealedContact>,
        /// Where to send it: one sealed JSON object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<Sealed>,
        /// When the customer ordered, if that was earlier and elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placed_at: Option<DateTime<Utc>>,
        /// The order's number in the system it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<String>,
        /// Who sent the command; part of the order's id.
        principal: String,
        /// Hash of the canonical command: tells a repeat from another order under the same key.
        command_hash: String,
        /// Where the order came from, such as `http` or `import`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    }
    /// The payment's outcome is open: the customer was told to wait.
    OrderPending v 1 {}
    /// The money is there; the order counts.
    OrderPaid v 1 {
        /// All lines, repeated for readers that never saw `Ordered`.
        lines: Vec<Line>,
        /// What was charged.
        total: i64,
        /// Currency of all amounts.
        currency: Currency,
        /// The provider's reference of the charge.
        payment_ref: String,
    }
    /// No payment, no order.
    OrderRejected v 1 {
        /// A stable word, such as `payment-declined`.
        code: String,
        /// A sentence for people.
        reason: String,
    }
    /// The carrier accepted the shipment.
    OrderShipped v 1 {
        /// The carrier.
        carrier: String,
        /// The carrier's number of the parcel.
        waybill: String,
    }
    /// The carrier has the parcel in its hands: the point of no return.
    OrderHandedOver v 1 {}
    /// The parcel arrived.
    OrderDelivered v 1 {}
    /// Somebody asked to cancel; whether it is possible is not known yet.
    OrderCancelRequested v 1 {
        /// Why, in the words of whoever asked.
        reason: String,
        /// Who asked.
        actor: String,
    }
    /// The parcel could not be held; the order goes on as before.
    OrderCancelRefused v 1 {
        /// A stable word, such as `past-point-of-no-return`.
        code: String,
        /// A sentence for people.
        reason: String,
    }
    /// The order will not be fulfilled; what was charged goes back.
    OrderCanceled v 1 {
        /// The first line's book, where the old services had its only one.
        book_id: String,
        /// The first line's quantity.
        qty: u32,
        /// All lines.
        lines: Vec<Line>,
        /// What the order was worth.
        total: i64,
        /// Currency of all amounts.
        currency: Currency,
        /// Why.
        reason: String,
        /// Who: the customer, an operator or `system`.
        actor: String,
    }
    /// The parcel had left although the order was canceled, and its money was not given back: the sale stands after all.
    OrderCancelTakenBack v 1 {
        /// A stable word, such as `scan-after-hold`.
        code: String,
        /// A sentence for people.
        reason: String,
    }
}
