//! Payments: what the provider took, refused and gave back for one order.
//!
//! At most one charge is kept at a time, and a charge goes back whole and once.

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
}

impl Payment {
    /// The charge that has not gone back.
    pub fn kept(&self) -> Option<&Charge> {
        self.charges
            .iter()
            .find(|charge| charge.refund_ref.is_none())
    }

    /// Minor units taken so far.
    pub fn charged(&self) -> i64 {
        self.charges.iter().map(|charge| charge.money.amount).sum()
    }

    /// Minor units given back so far; never more than [`Payment::charged`].
    pub fn refunded(&self) -> i64 {
        let back = self
            .charges
            .iter()
            .filter(|charge| charge.refund_ref.is_some());
        back.map(|charge| charge.money.amount).sum()
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
            updated_at: at,
        }
    }

    fn charge(&self, provider_ref: &str) -> Option<&Charge> {
        self.charges
            .iter()
            .find(|charge| charge.provider_ref == provider_ref)
    }

    /// Whether the event fits; it does nothing where it does not.
    fn apply(&mut self, event: &PaymentEvent) -> bool {
        match event {
            PaymentEvent::Paid(paid) => {
                let fits = self.kept().is_none() && self.charge(&paid.provider_ref).is_none();
                if fits {
                    self.charges.push(Charge {
                        money: Money::new(paid.amount, paid.currency),
                        provider_ref: paid.provider_ref.clone(),
                        at: paid.occurred_at,
                        refund_ref: None,
                    });
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
                let kept = self.charges.iter_mut().find(|charge| {
                    charge.refund_ref.is_none()
                        && charge.provider_ref == back.provider_ref
                        && charge.money == money
                });
                let fits = kept.is_some();
                if let Some(charge) = kept {
                    charge.refund_ref = Some(back.refund_ref.clone());
                    self.refund_refusal = None;
                }
                fits
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
