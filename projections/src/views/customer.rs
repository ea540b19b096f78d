//! The customer view: one row per order, with everything that the order, payment, delivery and
//! my-page lists show.
//!
//! A row holds facts only. What depends on the present moment (the status sentence, the next step,
//! what a cancellation would mean) is computed by whoever shows it. Nothing personal is copied from
//! the log: the sealed fields of `Ordered` never reach this file's types.

use std::borrow::Cow;

use aggregates::money::Currency;
use aggregates::order::Line;
use chrono::{DateTime, Utc};
use eventstore::Position;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod fold;
mod stored;
mod table;

pub use fold::CustomerView;

/// One order as its customer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerRow {
    /// The order.
    pub order_id: Uuid,
    /// Whose order it is.
    pub customer_id: String,
    /// The status on the wire.
    pub status: OrderStatus,
    /// How far the order itself has come, whatever a pending cancellation says.
    pub stage: OrderStatus,
    /// The ordered books; the first line is the old services' `bookId` and `qty`.
    pub lines: Vec<Line>,
    /// What the parcel costs, in minor units.
    pub shipping_fee: i64,
    /// ISO code of every amount in this row.
    pub currency: Currency,
    /// Lines and shipping fee, in minor units.
    pub total: i64,
    /// Why the order was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Refusal>,
    /// The last request to cancel and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelFacts>,
    /// The payment, from its first outcome on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentFacts>,
    /// The parcel, from the carrier's first answer on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryFacts>,
    /// The messages about this order, oldest first, the last [`MESSAGES_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageFacts>,
    /// What happened, oldest first, the last [`TIMELINE_MAX`] entries.
    pub timeline: Vec<TimelineEntry>,
    /// When the customer placed the order (an import may name an earlier moment).
    pub placed_at: DateTime<Utc>,
    /// When we took it.
    pub ordered_at: DateTime<Utc>,
    /// When the last event of this row occurred.
    pub updated_at: DateTime<Utc>,
    /// The place in the log of the event that changed this row last.
    pub position: Position,
}

/// Messages kept in a row: a caller of `POST /kakaos` can add any number, a row must stay small.
pub const MESSAGES_MAX: usize = 50;

/// Timeline entries kept in a row, for the same reason; a usual order has about ten.
pub const TIMELINE_MAX: usize = 100;

/// Mismatches kept in a row; an order has none.
pub const MISMATCHES_MAX: usize = 20;

/// The order's status on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStatus {
    /// Placed; the payment has no outcome yet.
    Pending,
    /// The money is taken.
    Paid,
    /// The carrier has accepted the shipment.
    Shipped,
    /// The parcel has left; nothing can be called back.
    HandedOver,
    /// The parcel has arrived.
    Delivered,
    /// No payment, no order.
    Rejected,
    /// A cancellation is being carried out.
    Canceling,
    /// Canceled; what was paid goes back.
    Canceled,
}

impl OrderStatus {
    /// The name on the wire and in the filter column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Paid => "Paid",
            Self::Shipped => "Shipped",
            Self::HandedOver => "HandedOver",
            Self::Delivered => "Delivered",
            Self::Rejected => "Rejected",
            Self::Canceling => "Canceling",
            Self::Canceled => "Canceled",
        }
    }
}

/// A refusal: a code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable code.
    pub code: String,
    /// What happened, in words.
    pub reason: String,
}

/// A request to cancel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelFacts {
    /// Who asked: `customer`, or `system` and other programs of ours, or an operator by name.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Why it was refused, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// When the order was canceled, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_at: Option<DateTime<Utc>>,
}

/// What is known about the order's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFacts {
    /// Where the payment stands.
    pub status: PaymentStatus,
    /// Charged so far, in minor units.
    pub paid: i64,
    /// Given back so far, in minor units.
    pub refunded: i64,
    /// The provider's reference of the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
    /// The provider's reference of the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_ref: Option<String>,
    /// The last refusal: of the charge, or of the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// In what the provider's books and ours differ, as long as nobody has settled it; the first [`MISMATCHES_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<MismatchFacts>,
    /// When this last changed.
    pub updated_at: DateTime<Utc>,
}

/// Something in which the provider's books and ours differ; an operator has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MismatchFacts {
    /// The saga in whose hands it is.
    pub finding: Uuid,
    /// Stable code.
    pub code: String,
    /// What differs, in words.
    pub reason: String,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentStatus {
    /// Charged.
    Paid,
    /// Refused by the provider; nothing was charged.
    Declined,
    /// Given back.
    PayCanceled,
    /// The provider refuses to give it back; an operator has it.
    RefundRefused,
}

impl PaymentStatus {
    /// The name on the wire and in the filter column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "Paid",
            Self::Declined => "Declined",
            Self::PayCanceled => "PayCanceled",
            Self::RefundRefused => "RefundRefused",
        }
    }
}

/// What is known about the order's parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryFacts {
    /// Where the parcel stands.
    pub status: DeliveryStatus,
    /// Who carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's number for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waybill: Option<String>,
    /// When the carrier accepted the shipment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped_at: Option<DateTime<Utc>>,
    /// When the carrier scanned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_at: Option<DateTime<Utc>>,
    /// When the carrier first saw it between its depots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_transit_at: Option<DateTime<Utc>>,
    /// When it went out to the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_for_delivery_at: Option<DateTime<Utc>>,
    /// When it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<DateTime<Utc>>,
    /// The last thing that came between on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The last refusal or exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// When this last changed.
    pub updated_at: DateTime<Utc>,
}

/// Something that came between on a parcel's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When the carrier saw it.
    pub at: DateTime<Utc>,
    /// What, in the carrier's words.
    pub reason: String,
}

/// Where a parcel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryStatus {
    /// The carrier has accepted the shipment.
    Shipped,
    /// The carrier refuses the shipment.
    Refused,
    /// Held back on our request.
    Held,
    /// Scanned by the carrier: it has left.
    HandedOver,
    /// Arrived.
    Delivered,
    /// Called back.
    DeliveryCanceled,
    /// Left although it was held; an operator has it.
    Exception,
    /// No news for so long that nobody asks any more.
    TrackingLost,
}

impl DeliveryStatus {
    /// The name on the wire and in the filter column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "Shipped",
            Self::Refused => "Refused",
            Self::Held => "Held",
            Self::HandedOver => "HandedOver",
            Self::Delivered => "Delivered",
            Self::DeliveryCanceled => "DeliveryCanceled",
            Self::Exception => "Exception",
            Self::TrackingLost => "TrackingLost",
        }
    }
}

/// A message about the order; its text is in the message view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageFacts {
    /// The message.
    pub message_id: Uuid,
    /// What it is about.
    pub kind: aggregates::kakao::Kind,
    /// Where it stands.
    pub state: super::message::MessageState,
    /// When this last changed.
    pub updated_at: DateTime<Utc>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When it occurred.
    pub at: DateTime<Utc>,
    /// The event's type.
    pub event: Cow<'static, str>,
}
