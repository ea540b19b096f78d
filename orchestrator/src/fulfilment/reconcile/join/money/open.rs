//! Charges of an order that is not paid yet, as far as its saga knows.

use aggregates::payment::Payment;
use aggregates::saga::{OVERDUE, Step};
use chrono::{DateTime, Utc};

use super::{Inside, Outside, Returned, charges, finding, provider_only};
use crate::fulfilment::reconcile::finding::{Finding, Kind, Remedy, Safety};
use crate::fulfilment::steps::*;
use crate::providers::ports::MoneyRecord;

/// The saga waits for a charge of the order's total. One of another amount does not end its wait, and a person has to know. The one
/// that it waits for ends it, once the saga asks; where it has given up asking, somebody has to tell it to. Once the order is paid,
/// a charge beside the one that pays for it goes back, whatever else is under way.
pub(in super::super) fn of_an_open_payment(
    order_id: &str,
    inside: &Inside,
    outside: &Outside,
    found: &mut Vec<Finding>,
) {
    let Some(order) = &inside.facts.order else {
        return;
    };
    if inside.saga.step(PAY).is_some_and(Step::is_settled) {
        let paid = inside.facts.payment.as_ref().and_then(Payment::last);
        if paid.is_some() {
            let more = unrecorded(inside, outside);
            found.extend(more.filter_map(|it| provider_only(order_id, inside, it, outside)));
        }
        return;
    }
    for record in charges(outside) {
        let returned = Returned::of(&record.charge_ref, outside);
        if is_unseen(inside, record, &returned) {
            found.push(unseen(order_id, record));
        } else if record.amount != order.total && returned.total < record.amount.amount {
            found.push(Finding {
                provider: format!("charged {}", record.amount),
                log: format!("owes {}", order.total),
                ..finding(
                    Kind::AmountMismatch,
                    "charge-of-another-amount",
                    order_id,
                    &record.charge_ref,
                    record.amount,
                )
            });
        }
    }
}

/// Charges that are not on the order's books.
fn unrecorded<'a>(
    inside: &'a Inside,
    outside: &'a Outside,
) -> impl Iterator<Item = &'a MoneyRecord> {
    let payment = inside.facts.payment.as_ref();
    let recorded = payment.map_or(&[][..], |payment| &payment.charges);
    let is_known = |it: &&MoneyRecord| recorded.iter().any(|of| of.provider_ref == it.charge_ref);
    charges(outside).filter(move |it| !is_known(it))
}

/// Whether a charge from before then is still nobody's: neither on the books of the order, which may yet take it, nor given back.
pub(in super::super) fn is_undecided(
    inside: &Inside,
    outside: &Outside,
    before: DateTime<Utc>,
) -> bool {
    let kept = |it: &MoneyRecord| Returned::of(&it.charge_ref, outside).total < it.amount.amount;
    unrecorded(inside, outside).any(|it| it.at < before && kept(it))
}

/// The charge that the order waits for, while its saga does not ask any more because it was answered in vain for too long: as a
/// deposit that came a day later, whose webhook was lost.
pub(super) fn is_unseen(inside: &Inside, record: &MoneyRecord, returned: &Returned<'_>) -> bool {
    let pay = inside.saga.step(PAY).filter(|pay| !pay.is_settled());
    let given_up = pay
        .and_then(|pay| pay.parked.as_ref())
        .is_some_and(|parked| parked.code == OVERDUE);
    let order = inside.facts.order.as_ref();
    let whole = order.is_some_and(|order| order.total == record.amount);
    given_up && whole && returned.total == 0
}

pub(super) fn unseen(order_id: &str, record: &MoneyRecord) -> Finding {
    Finding {
        provider: format!("charged {}", record.amount),
        log: "still waits for its charge".to_owned(),
        suggestion: "Ask the provider once more about this charge.",
        fix: Safety::Automatic,
        remedy: Remedy::AskAgain,
        ..finding(
            Kind::ProviderOnly,
            "charge-unseen",
            order_id,
            &record.charge_ref,
            record.amount,
        )
    }
}
