//! Before a finding counts, the provider is asked once more, about this one thing: a list may be behind or cut short, and it
//! shows what moved in one stretch of time only.

use super::Reconciler;
use super::finding::{Books, Finding, Kind};
use super::join::{self, Inside};
use crate::fulfilment::participants::charged_after;
use crate::fulfilment::steps::*;
use crate::providers::ports::{ChargeName, Found, Refund};
use crate::saga::key;
use aggregates::ids;
use aggregates::payment::Payment;
use aggregates::saga::Phase;

const REFUNDED_OUTSIDE: &str = "refunded-outside";

/// What becomes of a finding after a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// This is what differs.
    Stands(Box<Finding>),
    /// The provider has what its list did not show.
    Refuted,
    /// The provider does not say; the next comparison asks again.
    Open,
}

impl Reconciler {
    /// Whether a finding stands, or what differs in its stead.
    pub(super) async fn second_look(&self, finding: Finding, inside: Option<&Inside>) -> Look {
        let Some(inside) = inside else {
            return Look::Stands(Box::new(finding));
        };
        let order = inside.order_id;
        let round = |step| inside.saga.step(step).map_or(0, |step| step.round);
        let own = |step| key(order, step, round(step));
        let providers = &self.fulfilment.providers;
        match (finding.books, finding.code) {
            (Books::Carrier, _) if finding.kind == Kind::LogOnly => {
                absent(finding, &providers.carrier.probe(order, &own(SHIP)).await)
            }
            (Books::Payment, "refund-missing") => {
                let Some(refund) = refund(inside, &finding.reference, own(REFUND)) else {
                    return Look::Stands(Box::new(finding));
                };
                absent(finding, &providers.payments.probe_refund(refund).await)
            }
            (Books::Payment, "second-charge") => self.look_at_kept(finding, inside).await,
            (Books::Payment, code) if is_of_one_charge(code) => {
                self.look_at_charge(finding, inside).await
            }
            _ => Look::Stands(Box::new(finding)),
        }
    }

    /// The charge itself, by all that its provider says of it: a list shows what moved in one stretch of time, and under the
    /// name of its order the provider shows one payment, which need not be this one.
    async fn look_at_charge(&self, finding: Finding, inside: &Inside) -> Look {
        let charge = ChargeName {
            order_id: inside.order_id,
            charge_ref: finding.reference.clone(),
            charged_after: charged_after(&inside.saga),
        };
        match self.fulfilment.providers.payments.find(charge).await {
            Found::Done(now) => match join::anew(inside, &finding.reference, &now) {
                Some(now) => Look::Stands(Box::new(now)),
                None => Look::Refuted,
            },
            Found::Nothing | Found::Refused(_) => Look::Stands(Box::new(finding)),
            // Money on its way changes sums that are known. Whether there is a charge at all it leaves open, and whether all of it
            // really went back.
            Found::Undecided(_)
                if finding.kind != Kind::LogOnly && finding.code != REFUNDED_OUTSIDE =>
            {
                Look::Stands(Box::new(finding))
            }
            Found::Undecided(_) | Found::Unknown(_) => Look::Open,
        }
    }

    /// A second charge pays for nothing only as long as all of the first one is there. What is undone goes back either way.
    async fn look_at_kept(&self, finding: Finding, inside: &Inside) -> Look {
        let kept = inside.facts.payment.as_ref().and_then(Payment::kept);
        let Some(kept) = kept else {
            return Look::Stands(Box::new(finding));
        };
        let undone = matches!(inside.saga.phase, Phase::Unwinding | Phase::Unwound);
        let charge = ChargeName {
            order_id: inside.order_id,
            charge_ref: kept.provider_ref.clone(),
            charged_after: charged_after(&inside.saga),
        };
        match self.fulfilment.providers.payments.find(charge).await {
            Found::Done(now) if undone || now.returned.amount == 0 => {
                Look::Stands(Box::new(finding))
            }
            Found::Done(_) | Found::Nothing | Found::Refused(_) => {
                Look::Stands(Box::new(finding.of_the_only_charge()))
            }
            Found::Undecided(_) if undone => Look::Stands(Box::new(finding)),
            Found::Undecided(_) | Found::Unknown(_) => Look::Open,
        }
    }
}

/// What one charge and all that went back of it decide.
fn is_of_one_charge(code: &str) -> bool {
    let codes = [
        "charge-missing",
        "partly-refunded",
        "refund-differs",
        "canceled-and-kept",
        REFUNDED_OUTSIDE,
    ];
    codes.contains(&code)
}

/// The refund of a charge on record: of the one that paid for the order under that key, of one that pays for nothing under
/// that of its own saga.
fn refund(inside: &Inside, charge_ref: &str, own: String) -> Option<Refund> {
    let payment = inside.facts.payment.as_ref()?;
    let mut charges = payment.charges.iter();
    let charge = charges.find(|charge| charge.provider_ref == charge_ref)?;
    let saga = ids::return_id(&inside.order_id.to_string(), charge_ref);
    Some(Refund {
        key: if charge.excess {
            key(saga, RETURN_CHARGE, 0)
        } else {
            own
        },
        order_id: inside.order_id,
        charge_ref: charge_ref.to_owned(),
        amount: charge.money,
        charged_after: charged_after(&inside.saga),
    })
}

fn absent<T>(finding: Finding, found: &Found<T>) -> Look {
    match found {
        Found::Nothing | Found::Refused(_) => Look::Stands(Box::new(finding)),
        Found::Done(_) => Look::Refuted,
        Found::Undecided(_) | Found::Unknown(_) => Look::Open,
    }
}
