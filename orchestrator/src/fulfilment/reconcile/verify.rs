//! A provider that seems to know nothing is asked once more, about this one thing: a list may be behind or cut short.

use super::Reconciler;
use super::finding::{Books, Finding, Kind};
use super::join::Inside;
use crate::fulfilment::participants::charged_after;
use crate::fulfilment::steps::*;
use crate::providers::ports::{Found, Refund};
use crate::saga::key;
use aggregates::ids;

/// What becomes of a finding after a second look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It stands.
    Stands,
    /// The provider has what its list did not show.
    Refuted,
    /// The provider does not say; the next comparison asks again.
    Open,
}

impl Reconciler {
    /// Whether a finding stands.
    pub(super) async fn second_look(&self, finding: &Finding, inside: Option<&Inside>) -> Look {
        let Some(inside) = inside.filter(|_| finding.kind == Kind::LogOnly) else {
            return Look::Stands;
        };
        let order = inside.order_id;
        let round = |step| inside.saga.step(step).map_or(0, |step| step.round);
        let own = |step| key(order, step, round(step));
        let providers = &self.fulfilment.providers;
        match (finding.books, finding.code) {
            (Books::Carrier, _) => absent(&providers.carrier.probe(order, &own(SHIP)).await),
            (Books::Payment, "refund-missing") => {
                let Some(refund) = refund(inside, &finding.reference, own(REFUND)) else {
                    return Look::Stands;
                };
                absent(&providers.payments.probe_refund(refund).await)
            }
            (Books::Payment, _) => match providers.payments.probe(order, &own(PAY)).await {
                Found::Done(charge) if charge.reference != finding.reference => Look::Stands,
                other => absent(&other),
            },
        }
    }
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

fn absent<T>(found: &Found<T>) -> Look {
    match found {
        Found::Nothing | Found::Refused(_) => Look::Stands,
        Found::Done(_) => Look::Refuted,
        Found::Undecided(_) | Found::Unknown(_) => Look::Open,
    }
}
