//! Payments: what the provider took, refused and gave back for one order.
//!
//! At most one charge is kept at a time, and a charge goes back whole and once. What the provider charged beyond that is
//! an excess charge: it pays for nothing and only goes back.

mod decide;
mod event;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use decide::{Action, Command, Rejection};
pub use event::*;

use crate::decider::{Decider, IllegalTransition};
use crate::money::Money;
use crate::refusal::Refusal;

/// The payment of one order as its stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Payment {
    /// The order that is paid.
    pub order_id: Uuid,
    /// Who pays.
    pub customer_id: String,
    /// Every charge the provider made, oldest first.
    pub charges: Vec<Charge>,
    /// Why the provider did not charge.
    pub declined: Option<Refusal>,
    /// Why the provider did not give back what is still kept.
    pub refund_refusal: Option<Refusal>,
    /// In what the provider's books and ours differ, as long as nobody has settled it.
    pub mismatches: Vec<Mismatch>,
    /// When anything last happened.
    pub updated_at: DateTime<Utc>,
}

/// Money that the provider took once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// How much.
    pub money: Money,
    /// The provider's reference.
    pub provider_ref: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The provider's reference of the refund, once it went back.
    pub refund_ref: Option<String>,
    /// It pays for nothing.
    pub excess: bool,
}

impl Charge {
    fn new(money: Money, provider_ref: &str, at: DateTime<Utc>, excess: bool) -> Self {
        Self {
            money,
            provider_ref: provider_ref.to_owned(),
            at,
            refund_ref: None,
            excess,
        }
    }
}

/// Something in which the provider's books and ours differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The saga in whose hands it is.
    pub finding: Uuid,
    /// What it is.
    pub refusal: Refusal,
    /// The money at stake.
    pub at_stake: Money,
}

impl Payment {
    /// The charge that pays for the order and has not gone back.
    pub fn kept(&self) -> Option<&Charge> {
        self.charges
            .iter()
            .find(|charge| !charge.excess && charge.refund_ref.is_none())
    }

    /// The last charge that paid for the order, whether it went back or not.
    pub fn last(&self) -> Option<&Charge> {
        self.charges.iter().rfind(|charge| !charge.excess)
    }

    /// Minor units taken so far.
    pub fn charged(&self) -> i64 {
        sum(self.charges.iter())
    }

    /// Minor units given back so far; never more than [`Payment::charged`].
    pub fn refunded(&self) -> i64 {
        let back = |charge: &&Charge| charge.refund_ref.is_some();
        sum(self.charges.iter().filter(back))
    }

    /// The word for where the money is: `Paid`, `PayCanceled` or `PaymentDeclined`.
    pub fn status(&self) -> &'static str {
        match (self.kept(), self.charges.is_empty()) {
            (Some(_), _) => Paid::NAME,
            (None, false) => PayCanceled::NAME,
            (None, true) => PaymentDeclined::NAME,
        }
    }

    fn new(order_id: Uuid, customer_id: &str, at: DateTime<Utc>) -> Self {
        Self {
            order_id,
            customer_id: customer_id.to_owned(),
            charges: Vec::new(),
            declined: None,
            refund_refusal: None,
            mismatches: Vec::new(),
            updated_at: at,
        }
    }

    fn charge(&self, provider_ref: &str) -> Option<&Charge> {
        self.charges
            .iter()
            .find(|charge| charge.provider_ref == provider_ref)
    }

    fn give_back(&mut self, excess: bool, charge: &str, money: Money, refund: &str) -> bool {
        let taken = self.charges.iter_mut().find(|known| {
            known.refund_ref.is_none()
                && known.excess == excess
                && known.provider_ref == charge
                && known.money == money
        });
        taken.is_some_and(|charge| {
            charge.refund_ref = Some(refund.to_owned());
            true
        })
    }

    /// Whether the event fits; it does nothing where it does not.
    fn apply(&mut self, event: &PaymentEvent) -> bool {
        match event {
            PaymentEvent::Paid(paid) => {
                let fits = self.kept().is_none() && self.charge(&paid.provider_ref).is_none();
                if fits {
                    let money = Money::new(paid.amount, paid.currency);
                    let charge = Charge::new(money, &paid.provider_ref, paid.occurred_at, false);
                    self.charges.push(charge);
                }
                fits
            }
            PaymentEvent::PaymentDeclined(declined) => {
                let fits = self.charges.is_empty() && self.declined.is_none();
                self.declined
                    .get_or_insert_with(|| Refusal::new(&declined.code, &declined.reason));
                fits
            }
            PaymentEvent::PayCanceled(back) => {
                let money = Money::new(back.amount, back.currency);
                let fits = self.give_back(false, &back.provider_ref, money, &back.refund_ref);
                if fits {
                    self.refund_refusal = None;
                }
                fits
            }
            PaymentEvent::ExcessCharged(excess) => {
                let fits = self.charge(&excess.provider_ref).is_none();
                if fits {
                    let money = Money::new(excess.amount, excess.currency);
                    let charge = Charge::new(money, &excess.provider_ref, excess.occurred_at, true);
                    self.charges.push(charge);
                }
                fits
            }
            PaymentEvent::ExcessReturned(back) => {
                let money = Money::new(back.amount, back.currency);
                self.give_back(true, &back.provider_ref, money, &back.refund_ref)
            }
            PaymentEvent::MismatchFound(found) => {
                let fits = !self.mismatches.iter().any(|m| m.finding == found.finding);
                if fits {
                    self.mismatches.push(Mismatch {
                        finding: found.finding,
                        refusal: Refusal::new(&found.code, &found.reason),
                        at_stake: Money::new(found.amount, found.currency),
                    });
                }
                fits
            }
            PaymentEvent::MismatchSettled(settled) => {
                let before = self.mismatches.len();
                self.mismatches.retain(|m| m.finding != settled.finding);
                self.mismatches.len() < before
            }
            PaymentEvent::RefundRefused(refused) => {
                self.refund_refusal = Some(Refusal::new(&refused.code, &refused.reason));
                self.kept().is_some()
            }
        }
    }
}

impl Decider for Payment {
    /// `None` until the provider has said something final.
    type State = Option<Payment>;
    type Command = Command;
    type Event = PaymentEvent;
    type Rejection = Rejection;

    fn decide(state: &Option<Payment>, command: &Command) -> Result<Vec<PaymentEvent>, Rejection> {
        decide::decide(state.as_ref(), command)
    }

    fn evolve(
        state: Option<Payment>,
        event: &PaymentEvent,
    ) -> Result<Option<Payment>, IllegalTransition> {
        let head = event.head();
        let before = state.as_ref().map_or("nothing", Payment::status);
        let mut payment =
            state.unwrap_or_else(|| Payment::new(head.id, head.customer_id, head.occurred_at));
        payment.updated_at = head.occurred_at;
        if payment.apply(event) {
            Ok(Some(payment))
        } else {
            Err(IllegalTransition {
                aggregate: "payment",
                state: before,
                event: event.name(),
            })
        }
    }
}

/// Minor units. What is beyond any count stays there: a charge in the books may be as large as it likes.
fn sum<'a>(charges: impl Iterator<Item = &'a Charge>) -> i64 {
    charges.fold(0, |sum, charge| sum.saturating_add(charge.money.amount))
}
