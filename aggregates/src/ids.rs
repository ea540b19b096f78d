//! Ids that anybody can derive again from what they stand for, so that a repeat meets the same
//! stream.
//!
//! All are UUIDs of version 5 over parts with their lengths in front: `("ab", "c")` and `("a",
//! "bc")` never meet.

use uuid::Uuid;

use crate::kakao::Kind;

/// The name space of all ids derived here. Changing it would cut every repeat off from its first
/// call.
const BOOK_MARKET: Uuid = Uuid::from_u128(0x6f0b_1a5e_3c1d_5d0e_9d5a_626f_6f6b_6d6b);

/// The order that one caller's idempotency key stands for: the same principal, customer and key
/// give the same order.
pub fn order_id(principal: &str, customer: &str, key: &str) -> Uuid {
    derive(&["order", principal, customer, key])
}

/// The message of this kind about this order. `occurrence` tells several messages of one kind
/// apart.
pub fn message_id(order: &str, kind: Kind, occurrence: &str) -> Uuid {
    derive(&["message", order, kind.as_str(), occurrence])
}

/// The stream that records what happened to a customer's personal data.
pub fn subject_id(customer: &str) -> Uuid {
    derive(&["subject", customer])
}

/// The stream of one delivery of a webhook.
pub fn webhook_id(provider: &str, delivery: &str) -> Uuid {
    derive(&["webhook", provider, delivery])
}

/// The stream that records what operators do about a view.
pub fn projection_id(view: &str) -> Uuid {
    derive(&["projection", view])
}

/// The saga that gives back a charge that nobody owes.
pub fn return_id(order: &str, charge: &str) -> Uuid {
    derive(&["return", order, charge])
}

/// The saga of something in which a provider's books and ours differ. `code` says what, `reference` tells several of one
/// kind apart, and `said` what the provider says now from what it said before.
pub fn mismatch_id(order: &str, code: &str, reference: &str, said: &str) -> Uuid {
    derive(&["mismatch", order, code, reference, said])
}

fn derive(parts: &[&str]) -> Uuid {
    let mut name = Vec::with_capacity(parts.iter().map(|part| part.len() + size_of::<u64>()).sum());
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&BOOK_MARKET, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_shifted_into_one_another() {
        assert_ne!(order_id("ab", "c", "k"), order_id("a", "bc", "k"));
        assert_ne!(order_id("", "subject", "x"), subject_id("x"));
        assert_ne!(
            message_id("1", Kind::Shipped, ""),
            message_id("1", Kind::Canceled, "")
        );
    }

    #[test]
    fn an_id_stays_what_it_was_in_every_release() {
        assert_eq!(
            order_id("shop", "33", "key-1").to_string(),
            "8c417d30-db8a-5865-8636-d75e940be874"
        );
        assert_eq!(
            message_id("1", Kind::Shipped, "1").to_string(),
            "7a7f8a29-0d20-5c14-b7c1-f33850c28583"
        );
        assert_eq!(
            subject_id("33").to_string(),
            "1e91913f-ae84-5d71-a007-5ff4f1ab71be"
        );
    }
}
