//! Charges and refunds.

mod open;

use aggregates::money::Money;
use aggregates::order::Status;
use aggregates::payment::{Charge, Payment};
use aggregates::saga::{Phase, State};
use uuid::Uuid;

use super::{Inside, Outside, Window, is_stated};
use crate::fulfilment::reconcile::finding::{Books, Finding, Kind, Remedy, Safety};
use crate::fulfilment::steps::*;
use crate::providers::ports::{ChargeNow, Direction, MoneyRecord, ParcelState};

use open::unseen;
pub(super) use open::{is_undecided, of_an_open_payment};

const GIVE_BACK: &str = "Give the charge back; nobody owes it.";
const ASK_PROVIDER: &str =
    "Ask the payment provider what became of it, then settle this and correct the order by hand.";

const KEPT: &str = "The order is over and its money never went back: give it back, or say why it is kept, and settle this.";
const TWO_NAMES: &str = "Find out whether this is the charge that a person stated for the order. If it is, settle this; if it is another one, give it back at the provider.";

/// What one charge came to at the provider.
struct Returned<'a> {
    records: Vec<&'a MoneyRecord>,
    total: i64,
}

impl<'a> Returned<'a> {
    fn of(charge_ref: &str, outside: &'a Outside) -> Self {
        let back = |record: &&MoneyRecord| {
            record.direction == Direction::Returned && record.charge_ref == charge_ref
        };
        let records: Vec<_> = outside.money.iter().filter(back).collect();
        let total = records.iter().map(|record| record.amount.amount).sum();
        Self { records, total }
    }
}

/// What a provider says of one charge, as it would stand in a list of all that ever moved.
pub(super) fn records(order_id: &str, charge: &Charge, now: &ChargeNow) -> Vec<MoneyRecord> {
    let record = |direction, reference: &str, amount| MoneyRecord {
        order_id: order_id.to_owned(),
        direction,
        charge_ref: charge.provider_ref.clone(),
        reference: reference.to_owned(),
        amount,
        at: charge.at,
    };
    let back = now.last_refund.as_deref();
    let back = back.map(|last| record(Direction::Returned, last, now.returned));
    let charged = record(Direction::Charged, &charge.provider_ref, now.amount);
    [charged].into_iter().chain(back).collect()
}

/// A finding about money, with what all of them share.
fn finding(
    kind: Kind,
    code: &'static str,
    order_id: &str,
    reference: &str,
    at_stake: Money,
) -> Finding {
    Finding {
        kind,
        books: Books::Payment,
        code,
        order_id: order_id.to_owned(),
        reference: reference.to_owned(),
        at_stake: Some(at_stake),
        provider: String::new(),
        log: String::new(),
        suggestion: ASK_PROVIDER,
        fix: Safety::Person,
        remedy: Remedy::Person,
    }
}

/// Charges of an order that the log does not know. They may be of an order that our log has lost, so nobody gives them back
/// unasked; where a parcel went out, or the name is not one of ours, not even then.
pub(super) fn of_nobody(order_id: &str, outside: &Outside, found: &mut Vec<Finding>) {
    let ours = Uuid::try_parse(order_id).is_ok();
    let sent = outside
        .parcels
        .iter()
        .any(|parcel| parcel.state != ParcelState::Canceled);
    for record in charges(outside) {
        let returned = Returned::of(&record.charge_ref, outside);
        if returned.total >= record.amount.amount {
            continue;
        }
        let mut found_one = finding(
            Kind::ProviderOnly,
            "unknown-order",
            order_id,
            &record.charge_ref,
            record.amount,
        );
        found_one.provider = format!("charged {}", record.amount);
        found_one.log = "no such order".to_owned();
        if ours && !sent && returned.total == 0 {
            found_one.suggestion =
                "Make sure that the log is whole, then give the charge back with --fix.";
            (found_one.fix, found_one.remedy) = (Safety::OnRequest, give_back(record));
        }
        found.push(found_one);
    }
}

pub(super) fn compare(
    order_id: &str,
    inside: &Inside,
    outside: &Outside,
    window: &Window,
    found: &mut Vec<Finding>,
) {
    let payment = inside.facts.payment.as_ref();
    let recorded = payment.map_or(&[][..], |payment| &payment.charges);
    for record in charges(outside) {
        let known = recorded
            .iter()
            .find(|charge| charge.provider_ref == record.charge_ref);
        match known {
            None => found.extend(provider_only(order_id, inside, record, outside)),
            Some(charge) if charge.money != record.amount => {
                let stake = Money::new(
                    (charge.money.amount - record.amount.amount).abs(),
                    record.amount.currency,
                );
                let reference = &record.charge_ref;
                found.push(Finding {
                    provider: format!("charged {}", record.amount),
                    log: format!("charged {}", charge.money),
                    ..finding(
                        Kind::AmountMismatch,
                        "charge-differs",
                        order_id,
                        reference,
                        stake,
                    )
                });
            }
            Some(_) => {}
        }
    }
    for charge in recorded {
        let known = charges(outside).any(|record| record.charge_ref == charge.provider_ref);
        if !known && window.covers(charge.at) && !is_stated(&inside.saga, &[PAY, LATE_CHARGE]) {
            found.push(missing(order_id, charge));
        } else if let Some(payment) = payment {
            found.extend(refunds(order_id, inside, payment, charge, outside, window));
        }
    }
}

/// A charge on record that the provider does not know.
pub(super) fn missing(order_id: &str, charge: &Charge) -> Finding {
    Finding {
        provider: "no such charge".to_owned(),
        log: format!("charged {}", charge.money),
        ..finding(
            Kind::LogOnly,
            "charge-missing",
            order_id,
            &charge.provider_ref,
            charge.money,
        )
    }
}

fn give_back(record: &MoneyRecord) -> Remedy {
    Remedy::ReturnCharge { at: record.at }
}

fn charges(outside: &Outside) -> impl Iterator<Item = &MoneyRecord> {
    outside
        .money
        .iter()
        .filter(|record| record.direction == Direction::Charged)
}

/// A charge that is not on record.
fn provider_only(
    order_id: &str,
    inside: &Inside,
    record: &MoneyRecord,
    outside: &Outside,
) -> Option<Finding> {
    let returned = Returned::of(&record.charge_ref, outside);
    if returned.total >= record.amount.amount {
        return None;
    }
    if open::is_unseen(inside, record, &returned) {
        return Some(unseen(order_id, record));
    }
    let order = inside.facts.order.as_ref();
    let over =
        order.is_some_and(|order| matches!(order.status, Status::Rejected | Status::Canceled));
    let payment = inside.facts.payment.as_ref();
    let paid = payment.is_some_and(|payment| payment.last().is_some());
    let kept = payment.is_some_and(|payment| payment.kept().is_some());
    let (code, remedy) = match (over, paid, kept) {
        _ if returned.total > 0 => ("charge-without-order", Remedy::Person),
        (true, false, _) => ("late-charge", Remedy::AdoptCharge),
        _ if is_one_of_two_names(inside, outside) => ("charge-by-another-name", Remedy::Person),
        (true, true, _) | (false, _, true) => ("second-charge", give_back(record)),
        (false, _, false) => ("charge-without-order", Remedy::Person),
    };
    let mut found = finding(
        Kind::ProviderOnly,
        code,
        order_id,
        &record.charge_ref,
        record.amount,
    );
    found.provider = format!("charged {}", record.amount);
    found.log = order.map_or_else(
        || "no order".to_owned(),
        |order| format!("{}, without this charge", order.status),
    );
    if remedy != Remedy::Person {
        (found.fix, found.suggestion) = (Safety::Automatic, GIVE_BACK);
    } else if code == "charge-by-another-name" {
        found.suggestion = TWO_NAMES;
    }
    found.remedy = remedy;
    Some(found)
}

/// The order is over, whatever it may have been undone with is over too, and the money is still there. A person who found that
/// the parcel is gone for good has said why.
fn is_kept_for_nothing(inside: &Inside, charge: &Charge) -> bool {
    let order = inside.facts.order.as_ref();
    let over =
        order.is_some_and(|order| matches!(order.status, Status::Rejected | Status::Canceled));
    let unwound = inside.saga.phase == Phase::Unwound;
    over && unwound && !charge.excess && !is_stated(&inside.saga, &[HANDOVER])
}

/// The charge on record is one that a person stated, and the provider does not know it by that name: what the provider has may
/// be the very charge that pays for the order.
fn is_one_of_two_names(inside: &Inside, outside: &Outside) -> bool {
    let recorded = inside.facts.payment.as_ref().and_then(Payment::last);
    let unknown = recorded.is_some_and(|recorded| {
        !charges(outside).any(|record| record.charge_ref == recorded.provider_ref)
    });
    unknown && is_stated(&inside.saga, &[PAY, LATE_CHARGE])
}

/// A parcel that was called off left all the same, and the money went back while a person had that in hand: they were told of one
/// of the two. Whose money had gone back before was told of the parcel as of something that is not paid for.
fn went_back_after_it_left(saga: &State, payment: &Payment) -> bool {
    let handover = saga.step(HANDOVER).filter(|step| step.is_done());
    let parked = handover.and_then(|step| step.parked.as_ref());
    parked.is_some_and(|parked| payment.updated_at > parked.at)
}

/// What went back of a charge that both know, or that is older than the provider's records.
pub(super) fn refunds(
    order_id: &str,
    inside: &Inside,
    payment: &Payment,
    charge: &Charge,
    outside: &Outside,
    window: &Window,
) -> Option<Finding> {
    let returned = Returned::of(&charge.provider_ref, outside);
    let (amount, currency) = (charge.money.amount, charge.money.currency);
    let settled = window.covers(payment.updated_at) && !is_stated(&inside.saga, &[REFUND]);
    // What was canceled in vain has left, too.
    let order = inside.facts.order.as_ref().map(|order| order.status);
    let goes_on = matches!(inside.saga.phase, Phase::Forward | Phase::Completed)
        || matches!(order, Some(Status::HandedOver | Status::Delivered))
        || went_back_after_it_left(&inside.saga, payment);
    let (kind, code, stake) = match &charge.refund_ref {
        _ if returned.total > amount => (
            Kind::AmountMismatch,
            "returned-too-much",
            returned.total - amount,
        ),
        None if returned.total == 0 && is_kept_for_nothing(inside, charge) => {
            (Kind::StateMismatch, "canceled-and-kept", amount)
        }
        None if returned.total == 0 && inside.given_up.contains(&charge.provider_ref) => {
            (Kind::StateMismatch, "return-given-up", amount)
        }
        None if returned.total == 0 => return None,
        // The saga that gives it back hears of it from the provider.
        None if charge.excess => return None,
        None if returned.total == amount => (Kind::StateMismatch, "refunded-outside", amount),
        None => (Kind::AmountMismatch, "partly-refunded", returned.total),
        // On record, and nobody called off what it paid for.
        Some(_) if goes_on && !charge.excess => (Kind::StateMismatch, "refunded-outside", amount),
        Some(_) if returned.total == amount || !settled => return None,
        Some(_) if returned.total == 0 => (Kind::LogOnly, "refund-missing", amount),
        Some(_) => (
            Kind::AmountMismatch,
            "refund-differs",
            amount - returned.total,
        ),
    };
    let stake = Money::new(stake, currency);
    let mut found = finding(kind, code, order_id, &charge.provider_ref, stake);
    found.provider = format!("returned {}", Money::new(returned.total, currency));
    found.log = match &charge.refund_ref {
        Some(_) => format!("returned {}", charge.money),
        None => format!("keeps {}", charge.money),
    };
    if code == "canceled-and-kept" {
        found.suggestion = KEPT;
    }
    if code == "return-given-up" {
        return Some(found.of_a_return_given_up());
    }
    if code != "refunded-outside" {
        return Some(found);
    }
    let recorded = charge.refund_ref.clone();
    if recorded.is_some() && inside.saga.is_done(HANDOVER) {
        return Some(found.of_a_parcel_that_left());
    }
    let told = returned
        .records
        .last()
        .map(|record| record.reference.clone());
    let refund_ref = recorded.or(told)?;
    found.suggestion = "Record the refund; what has not left is called off.";
    (found.fix, found.remedy) = (Safety::Automatic, Remedy::ImportRefund { refund_ref });
    Some(found)
}
