//! What a payment says of a charge or a refund of ours. Pure.

use aggregates::money::Money;
use uuid::Uuid;

use super::codes;
use super::wire::{Amount, CancelEntry, Payment};
use crate::providers::ports::{Answer, Charge, ChargeNow, Found, MoneyMoved, Refund, Refusal};

/// What the provider's own lists show people as the reason; our key behind it is how we find the refund again.
pub(super) fn cancel_reason(key: &str) -> String {
    format!("Order canceled [{key}]")
}

/// The key at the end of a reason, if there is one.
fn key_of(entry: &CancelEntry) -> Option<&str> {
    let reason = entry.cancel_reason.as_deref()?;
    let (_, key) = reason.strip_suffix(']')?.rsplit_once(" [")?;
    Some(key)
}

/// Whether the answer to a confirmation is about this charge and says that it was made, in full.
pub(super) fn confirmed(payment: &Payment, charge: &Charge) -> Answer<MoneyMoved> {
    let undecided = |reason: &str| Answer::Undecided(reason.to_owned());
    // The provider compares keys and not bodies: a key that was used before gets the answer to another question.
    if payment.order_id != charge.order_id.to_string() || payment.payment_key != charge.token {
        return undecided("the answer is about another payment");
    }
    if payment.status != "DONE" {
        return undecided("the payment was taken but is not done");
    }
    match payment.total() {
        Some(total) if total == charge.amount => Answer::Done(MoneyMoved {
            reference: payment.reference(),
            amount: total,
        }),
        Some(_) => undecided("another amount was charged than was asked for"),
        None => undecided("the answer names no amount"),
    }
}

/// What became of the charge of that order; of that sum, where somebody just asked for it.
pub(super) fn found(payment: &Payment, order_id: Uuid, sum: Option<Money>) -> Found<MoneyMoved> {
    let refused = |code: &str, reason: &str| {
        Found::Refused(Refusal {
            code: code.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if payment.order_id != order_id.to_string() {
        return refused(
            "payment-token-of-another-order",
            "The payment was made for another order.",
        );
    }
    let (Some(total), Some(balance)) = (payment.total(), payment.balance()) else {
        return Found::Undecided("the payment names no amount".to_owned());
    };
    if sum.is_some_and(|sum| sum != total) {
        return Found::Undecided("another amount was charged than was asked for".to_owned());
    }
    match payment.status.as_str() {
        // Only somebody else can have given it back before we knew of it. Nothing is kept, so nothing was paid.
        "DONE" | "CANCELED" | "PARTIAL_CANCELED" if balance.amount == 0 => refused(
            "payment-given-back",
            "The payment was given back at the payment provider.",
        ),
        "DONE" | "CANCELED" | "PARTIAL_CANCELED" => Found::Done(MoneyMoved {
            reference: payment.reference(),
            amount: total,
        }),
        other => unpaid(payment, other),
    }
}

/// What a status says that is none of money taken.
fn unpaid<T>(payment: &Payment, status: &str) -> Found<T> {
    match status {
        "ABORTED" => Found::Refused(codes::refusal_of_failure(
            payment
                .failure
                .as_ref()
                .map(|failure| failure.code.as_str()),
        )),
        "EXPIRED" => Found::Refused(Refusal {
            code: "not-found-payment-session".to_owned(),
            reason: "The payment was not confirmed within its time.".to_owned(),
        }),
        // Authenticated or not even that: no money moves before somebody confirms.
        "READY" | "IN_PROGRESS" => Found::Nothing,
        "WAITING_FOR_DEPOSIT" => {
            Found::Undecided("the customer has not transferred the money yet".to_owned())
        }
        _ => Found::Undecided("the payment is in a state that is not documented".to_owned()),
    }
}

/// What is left of a payment of ours. What is still on its way back decides nothing yet.
pub(super) fn now(payment: &Payment) -> Found<ChargeNow> {
    let taken = matches!(
        payment.status.as_str(),
        "DONE" | "CANCELED" | "PARTIAL_CANCELED"
    );
    if !taken {
        return unpaid(payment, &payment.status);
    }
    let (Some(amount), Some(balance)) = (payment.total(), payment.balance()) else {
        return Found::Undecided("the payment names no amount".to_owned());
    };
    let entries = payment.cancels.as_deref().unwrap_or_default();
    let open = |entry: &CancelEntry| standing(entry) == Standing::Open;
    if entries.iter().any(open) {
        return Found::Undecided("money of this payment is on its way back".to_owned());
    }
    let returned = Money::new(amount.amount - balance.amount, amount.currency);
    let back = returned_by(payment, entries);
    let adds_up = back.map_or(0, |(sum, _)| sum) == returned.amount;
    let last_refund = back.and_then(|(_, last)| last.transaction_key.clone());
    if !adds_up || back.is_some() != last_refund.is_some() {
        return Found::Undecided("what went back and what is left do not add up".to_owned());
    }
    Found::Done(ChargeNow {
        amount,
        returned,
        last_refund,
    })
}

/// What became of a refund of that payment.
pub(super) fn refunded(payment: &Payment, refund: &Refund) -> Found<MoneyMoved> {
    let Some(total) = payment.total() else {
        return Found::Undecided("the payment names no amount".to_owned());
    };
    let entries = payment.cancels.as_deref().unwrap_or_default();
    let key = Some(refund.key.as_str());
    let own = entries.iter().filter(|entry| key_of(entry) == key);
    let (aborted, going): (Vec<_>, Vec<_>) =
        own.partition(|entry| standing(entry) == Standing::Aborted);
    if let Some(entry) = going.first() {
        return outcome(entry, payment, refund.amount);
    }
    // Whoever gave it back, in however many parts: under an earlier key of ours, or by hand.
    if let Some(last) = whole(payment, entries).filter(|_| refund.amount == total) {
        return done(last, total);
    }
    if entries
        .iter()
        .any(|entry| standing(entry) == Standing::Open)
    {
        return Found::Undecided("money of this payment is on its way back".to_owned());
    }
    // Said last: that ours was stopped is no news once all of it went back in another way.
    if let Some(entry) = aborted.first() {
        return outcome(entry, payment, refund.amount);
    }
    Found::Nothing
}

/// The last of the refunds that together gave back all of it.
fn whole<'a>(payment: &Payment, entries: &'a [CancelEntry]) -> Option<&'a CancelEntry> {
    if payment.balance()?.amount != 0 {
        return None;
    }
    let (returned, last) = returned_by(payment, entries)?;
    (returned == payment.total()?.amount).then_some(last)
}

/// How much went back, and the last refund of them; nothing where there was none.
fn returned_by<'a>(
    payment: &Payment,
    entries: &'a [CancelEntry],
) -> Option<(i64, &'a CancelEntry)> {
    let done = entries
        .iter()
        .filter(|entry| standing(entry) == Standing::Done);
    let mut returned = 0_i64;
    let mut last = None;
    for entry in done {
        let amount = Amount::read(&entry.cancel_amount, &payment.currency)?;
        returned = returned.checked_add(amount.amount)?;
        last = Some(entry);
    }
    Some((returned, last?))
}

/// How far an entry of `cancels` is.
#[derive(PartialEq, Eq)]
enum Standing {
    Done,
    Aborted,
    Open,
}

fn standing(entry: &CancelEntry) -> Standing {
    match entry.cancel_status.as_deref() {
        None | Some("DONE") => Standing::Done,
        Some("ABORTED") => Standing::Aborted,
        Some(_) => Standing::Open,
    }
}

fn done(entry: &CancelEntry, amount: Money) -> Found<MoneyMoved> {
    match entry.transaction_key.clone() {
        Some(reference) => Found::Done(MoneyMoved { reference, amount }),
        None => Found::Undecided("the refund names no reference".to_owned()),
    }
}

fn outcome(entry: &CancelEntry, payment: &Payment, sum: Money) -> Found<MoneyMoved> {
    match standing(entry) {
        Standing::Done => match Amount::read(&entry.cancel_amount, &payment.currency) {
            Some(amount) if amount == sum => done(entry, amount),
            Some(_) => Found::Undecided("another amount went back than was asked for".to_owned()),
            None => Found::Undecided("the refund names no amount".to_owned()),
        },
        // The key stays with the refund that was aborted; only a new one can try again.
        Standing::Aborted => Found::Refused(Refusal {
            code: "refund-aborted".to_owned(),
            reason: "The payment provider began to give the money back and stopped.".to_owned(),
        }),
        Standing::Open => Found::Undecided("the money is on its way back".to_owned()),
    }
}
