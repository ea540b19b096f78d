//! What a payment provider claims about a charge, held against our books.

use aggregates::payment::Payment;

use crate::fulfilment::facts::Facts;

/// What a payment provider claims about a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its reference of the charge; nothing where it names only the order, whose payment is meant then.
    pub charge: Option<String>,
    /// What it says has become of it.
    pub state: Claimed,
}

/// What has become of a charge, as claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It was made.
    Charged,
    /// It went back.
    Returned,
    /// No money moved.
    Nothing,
    /// Something that only the provider's books can tell.
    Other,
}

/// Whether the claim says nothing that is not in our books.
pub(super) fn agrees(facts: &Facts, claim: &Claim) -> bool {
    let payment = facts.payment.as_ref();
    let Some(named) = &claim.charge else {
        return of_the_order(payment, claim.state);
    };
    let mut charges = payment.iter().flat_map(|payment| &payment.charges);
    let known = charges.find(|charge| charge.provider_ref == *named);
    match claim.state {
        // A deposit that was taken back is told of as one that has not come yet.
        Claimed::Nothing => known.is_none_or(|charge| charge.refund_ref.is_some()),
        Claimed::Charged => known.is_some(),
        Claimed::Returned => known.is_some_and(|charge| charge.refund_ref.is_some()),
        Claimed::Other => false,
    }
}

/// The same of a claim that names no charge: it is about the one that pays for the order.
fn of_the_order(payment: Option<&Payment>, state: Claimed) -> bool {
    let kept = payment.and_then(Payment::kept).is_some();
    match state {
        Claimed::Nothing => !kept,
        Claimed::Charged => kept,
        Claimed::Returned => !kept && payment.and_then(Payment::last).is_some(),
        Claimed::Other => false,
    }
}

/// The charge that pays for the order, where the claim says that no money moved for it.
pub(super) fn denied(facts: &Facts, claim: &Claim) -> Option<String> {
    let kept = facts.payment.as_ref()?.kept()?;
    let meant = claim.charge.as_ref();
    let meant = meant.is_none_or(|named| *named == kept.provider_ref);
    (meant && claim.state == Claimed::Nothing).then(|| kept.provider_ref.clone())
}

#[cfg(test)]
mod tests {
    use aggregates::money::{Currency, Money};
    use aggregates::payment::Charge;
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    /// An order that was charged, and whose charge went back or did not.
    fn charged(went_back: bool) -> Facts {
        let at = DateTime::UNIX_EPOCH;
        let charge = Charge {
            money: Money::new(33_000, Currency::KRW),
            provider_ref: "pay-1".into(),
            at,
            refund_ref: went_back.then(|| "refund-1".into()),
            excess: false,
        };
        let payment = Payment {
            order_id: Uuid::from_u128(7),
            customer_id: "33".into(),
            charges: vec![charge],
            declined: None,
            refund_refusal: None,
            mismatches: Vec::new(),
            updated_at: at,
        };
        Facts {
            payment: Some(payment),
            ..Facts::default()
        }
    }

    fn claim(charge: Option<&str>, state: Claimed) -> Claim {
        let charge = charge.map(str::to_owned);
        Claim { charge, state }
    }

    #[test]
    fn a_claim_that_names_only_the_order_is_about_what_pays_for_it() {
        let (kept, back, none) = (charged(false), charged(true), Facts::default());
        for (state, by_kept, by_back, by_none) in [
            (Claimed::Nothing, false, true, true),
            (Claimed::Charged, true, false, false),
            (Claimed::Returned, false, true, false),
            (Claimed::Other, false, false, false),
        ] {
            let claim = claim(None, state);
            let agreed = [&kept, &back, &none].map(|facts| agrees(facts, &claim));
            assert_eq!(agreed, [by_kept, by_back, by_none], "{state:?}");
        }
        let taken_back = claim(None, Claimed::Nothing);
        assert_eq!(denied(&kept, &taken_back).as_deref(), Some("pay-1"));
        assert_eq!(denied(&back, &taken_back), None);
        assert_eq!(denied(&none, &taken_back), None);
    }

    #[test]
    fn a_claim_that_names_a_charge_is_about_that_one() {
        let kept = charged(false);
        let own = claim(Some("pay-1"), Claimed::Nothing);
        assert!(!agrees(&kept, &own));
        assert_eq!(denied(&kept, &own).as_deref(), Some("pay-1"));
        let other = claim(Some("pay-2"), Claimed::Nothing);
        assert!(agrees(&kept, &other));
        assert_eq!(denied(&kept, &other), None);
        assert_eq!(denied(&kept, &claim(None, Claimed::Charged)), None);
    }
}
