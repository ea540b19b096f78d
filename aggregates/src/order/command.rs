//! What can be asked of an order, and what is answered.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{CheckedOrder, SealedContact, SealedPayment, Status};
use crate::personal::Sealed;

/// Something to do with an order, at a time that the caller read from its clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub action: Action,
}

/// What to do with an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Place it.
    Place(Box<Place>),
    /// The payment takes longer than the customer can wait.
    MarkPending,
    /// The provider charged.
    ConfirmPayment {
        /// The provider's reference of the charge.
        payment_ref: String,
    },
    /// There is no payment and there will be none.
    Reject {
        /// A stable word.
        code: String,
        /// A sentence for people.
        reason: String,
    },
    /// The carrier accepted the shipment.
    RecordShipment {
        /// The carrier.
        carrier: String,
        /// The carrier's number of the parcel.
        waybill: String,
    },
    /// The carrier scanned the parcel.
    RecordHandover,
    /// The parcel arrived.
    RecordDelivery,
    /// Somebody wants it canceled.
    RequestCancel {
        /// Why.
        reason: String,
        /// Who.
        actor: String,
    },
    /// The parcel cannot be held.
    RefuseCancel {
        /// A stable word.
        code: String,
        /// A sentence for people.
        reason: String,
    },
    /// A parcel that was called off is gone for good, and paid for: it is not canceled any more.
    TakeCancelBack {
        /// A stable word.
        code: String,
        /// A sentence for people.
        reason: String,
    },
    /// Nothing leaves any more: it is canceled, asked for or not.
    Cancel {
        /// Why.
        reason: String,
        /// Who: the customer, an operator or `system`.
        actor: String,
    },
}

/// A new order.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its id: [`crate::ids::order_id`] under an idempotency key, a new one without.
    pub order_id: Uuid,
    /// What is ordered.
    pub order: CheckedOrder,
    /// What of it is personal, sealed.
    pub sealed: SealedDetails,
    /// Who sends the command.
    pub principal: String,
    /// Hash of [`CheckedOrder::canonical_bytes`].
    pub command_hash: String,
    /// Where it comes from, such as `import`.
    pub source: Option<String>,
}

/// The personal parts of an order as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedDetails {
    /// How to pay.
    pub payment: Option<SealedPayment>,
    /// Whom to tell.
    pub contact: Option<SealedContact>,
    /// Where to send it: [`super::Address::to_json`], sealed.
    pub address: Option<Sealed>,
}

/// Why an order does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such order.
    #[error("there is no such order")]
    Unplaced,
    /// The idempotency key already stands for another command.
    #[error("the idempotency key was used for another order")]
    KeyReused,
    /// It was never paid.
    #[error("the order was rejected")]
    AlreadyRejected,
    /// It is canceled.
    #[error("the order is canceled")]
    AlreadyCanceled,
    /// It is paid, so that it can be canceled but not rejected.
    #[error("the order is paid")]
    AlreadyPaid,
    /// The parcel has left: the way back is a return.
    #[error("the parcel is with the carrier and can only be returned")]
    PastPointOfNoReturn,
    /// A request to cancel is open, and decides how the order ends.
    #[error("a request to cancel is open")]
    CancelOpen,
    /// Nobody has asked to cancel.
    #[error("no request to cancel is open")]
    NoCancelOpen,
    /// Something has to come first.
    #[error("the order is {status}, too early for this")]
    TooEarly {
        /// How far it is.
        status: Status,
    },
    /// Something else is recorded already.
    #[error("the order has {recorded:?} on record")]
    Contradiction {
        /// The reference on record.
        recorded: String,
    },
}
