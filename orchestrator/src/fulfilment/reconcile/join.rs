//! The comparison itself: a provider's records of one order against what the log says of it, as a full outer join. Pure: the
//! same records and the same log give the same findings.
//!
//! What is still under way is no finding: whoever is asked first has not heard of the rest.

mod money;
mod parcels;
#[cfg(test)]
mod tests;

use aggregates::saga::{Phase, State, Step, Verdict};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::finding::Finding;
use crate::fulfilment::facts::Facts;
use crate::fulfilment::steps::*;
use crate::providers::ports::{ChargeNow, MoneyRecord, ParcelRecord};

/// What the log says of one order.
#[derive(Debug, Clone, Default)]
pub struct Inside {
    /// The order.
    pub order_id: Uuid,
    /// Its aggregates.
    pub facts: Facts,
    /// Its saga.
    pub saga: State,
    /// Charges that pay for nothing and that nobody gives back any more.
    pub given_up: Vec<String>,
}

/// What the providers' books say of one order.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Money that moved.
    pub money: Vec<MoneyRecord>,
    /// Parcels.
    pub parcels: Vec<ParcelRecord>,
}

/// Of what time the books are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// What is in the log from here on is in the provider's records, if it is anywhere.
    pub since: DateTime<Utc>,
    /// What is younger in the log may not have been in the records when they were read. The log is read after them, so that what
    /// they hold and the log does not is judged whatever its age.
    pub until: DateTime<Utc>,
    /// Whether the payment provider's records are whole.
    pub money: bool,
    /// Whether the carrier's records are whole.
    pub parcels: bool,
}

impl Window {
    /// Of all time: what a provider says when it is asked about one thing.
    const ALWAYS: Window = Window {
        since: DateTime::<Utc>::MIN_UTC,
        until: DateTime::<Utc>::MAX_UTC,
        money: true,
        parcels: true,
    };

    fn covers(&self, at: DateTime<Utc>) -> bool {
        self.since <= at && at <= self.until
    }
}

/// Everything in which they differ.
#[must_use]
pub fn compare(
    order_id: &str,
    inside: Option<&Inside>,
    outside: &Outside,
    window: &Window,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match inside {
        None => money::of_nobody(order_id, outside, &mut findings),
        Some(inside) if window.money && !money_moves(&inside.saga) => {
            money::compare(order_id, inside, outside, window, &mut findings);
        }
        Some(inside) if window.money => {
            money::of_an_open_payment(order_id, inside, outside, &mut findings)
        }
        Some(_) => {}
    }
    match inside {
        None => parcels::of_nobody(order_id, outside, &mut findings),
        Some(inside) if window.parcels && !parcel_moves(&inside.saga) => {
            parcels::compare(order_id, inside, outside, window, &mut findings);
        }
        Some(_) => {}
    }
    findings
}

/// Whether an order whose money is under way leaves a charge from before then undecided. Whoever compares next must see it again,
/// however long that takes: one that turns up after the order has stopped looking for it is nobody's until it is over.
pub(super) fn is_undecided(inside: &Inside, outside: &Outside, before: DateTime<Utc>) -> bool {
    money_moves(&inside.saga) && money::is_undecided(inside, outside, before)
}

/// The charge that pays for the order, as one that the provider does not know; nothing where it is not what the provider
/// denies, or a person answers for it.
#[must_use]
pub fn denied(inside: &Inside, charge_ref: &str) -> Option<Finding> {
    let kept = inside.facts.payment.as_ref()?.kept()?;
    let stated = is_stated(&inside.saga, &[PAY, LATE_CHARGE]);
    let denied = kept.provider_ref == charge_ref && !stated;
    denied.then(|| money::missing(&inside.order_id.to_string(), kept))
}

/// A charge on record judged by all that its provider says of it, instead of by what moved in a stretch of time; nothing where
/// both say the same.
#[must_use]
pub fn anew(inside: &Inside, charge_ref: &str, now: &ChargeNow) -> Option<Finding> {
    let payment = inside.facts.payment.as_ref()?;
    let mut charges = payment.charges.iter();
    let charge = charges.find(|charge| charge.provider_ref == charge_ref)?;
    let order_id = inside.order_id.to_string();
    let outside = Outside {
        money: money::records(&order_id, charge, now),
        parcels: Vec::new(),
    };
    money::refunds(
        &order_id,
        inside,
        payment,
        charge,
        &outside,
        &Window::ALWAYS,
    )
}

/// The saga itself is still about to take, to return or to look for money.
pub(super) fn money_moves(saga: &State) -> bool {
    match saga.phase {
        Phase::New => true,
        Phase::Forward => !saga.is_done(PAY),
        Phase::Unwinding => !saga.rested,
        Phase::Completed | Phase::Unwound => false,
    }
}

/// The saga itself is still about to send a parcel or to call it off.
fn parcel_moves(saga: &State) -> bool {
    match saga.phase {
        Phase::New => true,
        Phase::Forward => !saga.is_done(SHIP),
        Phase::Unwinding => !saga.rested,
        Phase::Completed | Phase::Unwound => false,
    }
}

/// A person said so, whatever the provider has in its books.
fn is_stated(saga: &State, steps: &[&str]) -> bool {
    let stated = |step: &Step| step.resolved == Some(Verdict::Done);
    steps.iter().any(|name| saga.step(name).is_some_and(stated))
}
