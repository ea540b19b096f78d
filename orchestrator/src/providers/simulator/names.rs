//! How orders, calls and references are named.

use uuid::Uuid;

use super::ledger::Op;

/// Namespace of the hashes under which calls are remembered. Fixed for ever.
const CALLS: Uuid = Uuid::from_u128(0x2f5a_6f6e_91a7_4f0e_8a51_6f3b_0f6c_77d1);

/// Namespace of payments' names. Fixed as long as a ledger's notes are.
const PAYMENTS: Uuid = Uuid::from_u128(0x6d0e_2f0b_0a1e_4a43_9a5c_1f7e_5a33_90c4);

/// The name under which a payment's account is found.
pub(super) fn payment_name(payment_key: &str) -> Uuid {
    Uuid::new_v5(&PAYMENTS, payment_key.as_bytes())
}

/// Orders are named by UUIDs; whatever else a caller writes is hashed into one.
pub(super) fn order_key(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| Uuid::new_v5(&CALLS, text.as_bytes()))
}

/// A message is an account of its own, named by its id: that is how it is looked up, and its order may be anything.
pub(super) fn account_key(op: Op, key: &str, order_id: &str) -> Uuid {
    order_key(if op == Op::Send { key } else { order_id })
}

pub(super) fn call_id(op: Op, key: &str) -> Uuid {
    Uuid::new_v5(&CALLS, format!("{op:?}/{key}").as_bytes())
}

/// The reference of what happened at line `seq`.
pub(super) fn reference(op: Op, seq: u64) -> String {
    format!("{}{seq:010}", prefix(op))
}

/// The line that a reference of this kind names.
pub(super) fn seq_of(op: Op, reference: &str) -> Option<u64> {
    reference.strip_prefix(prefix(op))?.parse().ok()
}

const fn prefix(op: Op) -> &'static str {
    match op {
        Op::Charge => "sim-charge-",
        Op::Refund => "sim-refund-",
        Op::Ship | Op::Handover | Op::Deliver => "SIM",
        Op::Hold => "sim-hold-",
        Op::Cancel => "sim-void-",
        Op::Send => "sim-message-",
    }
}
