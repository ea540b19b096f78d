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

/// The code of a parcel whose address was erased before it was sent.
pub(super) const ADDRESS_ERASED: &str = "address-erased";

/// The carriers' code of a parcel that has left: only then is it too late to cancel.
pub(super) const HANDED_OVER: &str = "handed-over";

/// The one step of the saga that gives an excess charge back.
pub(super) const RETURN_CHARGE: &str = "return-charge";

/// The one step of the saga of a mismatch: a person sees to it.
pub(super) const SETTLE: &str = "settle";

/// The one step of the saga of a denied charge: its provider is asked about it.
pub(super) const ASK: &str = "ask";

/// News of a parcel between the van and the door.
pub(super) const SCANS: &str = "scans";

/// The providers' codes of the same, when their window was closed before our charge arrived.
pub(super) const WINDOW_CLOSED: [&str; 2] = ["payment-window-closed", "not-found-payment-session"];

/// The one step of a direct message.
pub(super) const SEND: &str = "send";
