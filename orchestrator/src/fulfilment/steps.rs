//! The names of the fulfilment saga's steps and signals, as they stand in its log.

/// Take the money.
pub(super) const PAY: &str = "pay";
/// Have the parcel accepted.
pub(super) const SHIP: &str = "ship";
/// Wait for the van; the point of no return.
pub(super) const HANDOVER: &str = "handover";
/// Wait for the door.
pub(super) const TRACK: &str = "track";
/// Tell the customer that it is on its way; beside the main line.
pub(super) const NOTIFY: &str = "notify";
/// Keep the parcel from leaving.
pub(super) const HOLD: &str = "hold";
/// Write down that there is no order any more.
pub(super) const CANCEL_ORDER: &str = "cancel-order";
/// Give the money back.
pub(super) const REFUND: &str = "refund";
/// Void the label.
pub(super) const CANCEL_DELIVERY: &str = "cancel-delivery";
/// Tell the customer that it is canceled.
pub(super) const TELL: &str = "tell";
/// Look for a charge that turns up after we gave up on it.
pub(super) const LATE_CHARGE: &str = "late-charge";

/// The customer could not wait for the payment any longer.
pub(super) const ANSWER_PENDING: &str = "answer-pending";

/// The code of a payment that was not made within its window.
pub(super) const PAYMENT_EXPIRED: &str = "payment-expired";

/// The one step of a direct message.
pub(super) const SEND: &str = "send";
