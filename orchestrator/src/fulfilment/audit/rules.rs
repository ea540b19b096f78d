//! The promises themselves.

use std::collections::HashSet;

use aggregates::order::Status;
use aggregates::saga;
use uuid::Uuid;

use super::inside::{Inside, MessageLog, OrderLog};
use super::outside::{Effect, Outside};
use super::{Counts, Report, Violation};
use crate::providers::simulator::ledger::Op;

pub(super) fn judge(mut inside: Inside, outside: &Outside, acknowledged: &HashSet<Uuid>) -> Report {
    let mut violations = std::mem::take(&mut inside.violations);
    let mut fault = |invariant, subject: &dyn ToString, what: &str| {
        violations.push(Violation {
            invariant,
            subject: subject.to_string(),
            what: what.to_owned(),
        });
    };
    for order in acknowledged {
        if !inside.orders.contains_key(order) {
            fault(1, order, "was acknowledged and is not in the log");
        }
    }
    for what in &outside.faults {
        fault(9, &"ledger", what);
    }
    for id in outside.orders.keys() {
        if Uuid::try_parse(id).map_or(true, |id| !inside.orders.contains_key(&id)) {
            fault(5, id, "has effects outside and is not in the log");
        }
    }
    let mut counts = Counts {
        events: inside.events,
        ..Counts::default()
    };
    for (id, order) in &inside.orders {
        count(&mut counts, order);
        let effects = outside
            .orders
            .get(&id.to_string())
            .map_or(&[][..], Vec::as_slice);
        let mut fault = |invariant, what: &str| fault(invariant, id, what);
        money(effects, order, &mut fault);
        parcel(effects, order, &mut fault);
        both_books(effects, order, &mut fault);
        rest(effects, order, &mut fault);
    }
    for (id, message) in &inside.messages {
        let sends = outside
            .sends
            .get(&id.to_string())
            .map_or(&[][..], Vec::as_slice);
        count_message(&mut counts, message, sends);
        if message.sends > 1 {
            fault(9, id, "is recorded as sent twice");
        }
        if message
            .sent
            .as_ref()
            .is_some_and(|sent| !sends.contains(sent))
        {
            fault(5, id, "is sent by the log and not by the ledger");
        }
    }
    Report { counts, violations }
}

/// At most one kept charge, and never more given back than taken, at any time. What the provider took beyond that is its own
/// doing; ours is to give it back.
fn money(effects: &[Effect], order: &OrderLog, fault: &mut impl FnMut(u8, &str)) {
    let (mut charges, mut refunds) = (0, 0);
    let (mut charged, mut refunded) = (0, 0);
    for effect in effects
        .iter()
        .filter(|effect| !order.excess.contains(&effect.reference))
    {
        match effect.op {
            Op::Charge => (charges, charged) = (charges + 1, charged + effect.amount),
            Op::Refund => (refunds, refunded) = (refunds + 1, refunded + effect.amount),
            _ => continue,
        }
        if charges - refunds > 1 {
            fault(2, "two charges are kept at once");
        }
        if refunds > charges || refunded > charged {
            fault(2, "more was given back than was taken");
        }
    }
}

/// No shipment before its payment, no second one, no refund of what was handed over. A carrier that takes along what it had
/// promised to hold breaks its word, not ours.
fn parcel(effects: &[Effect], order: &OrderLog, fault: &mut impl FnMut(u8, &str)) {
    let (mut paid, mut shipped, mut held, mut left) = (false, 0, false, false);
    for effect in effects {
        match effect.op {
            Op::Charge => paid = true,
            Op::Ship => {
                shipped += 1;
                if !paid {
                    fault(4, "was shipped before it was paid");
                }
            }
            Op::Hold => held = true,
            Op::Handover => left = true,
            Op::Refund if order.excess.contains(&effect.reference) => {}
            Op::Refund if order.found.contains(&effect.reference) => {}
            Op::Refund if left && !held => fault(4, "was refunded after it was handed over"),
            _ => {}
        }
    }
    if shipped > 1 {
        fault(9, "was shipped twice");
    }
    if left
        && held
        && order
            .facts
            .delivery
            .as_ref()
            .is_some_and(|d| d.exception.is_none() && !d.has_left())
    {
        fault(4, "left although it was held, and nobody was told");
    }
}

/// The ledger and the log agree as sets of (order, key, amount). What is under way may be in the ledger first.
fn both_books(effects: &[Effect], order: &OrderLog, fault: &mut impl FnMut(u8, &str)) {
    let at = |op: Op| effects.iter().filter(move |effect| effect.op == op);
    let settled = order.saga.is_at_rest();
    for effect in effects {
        let scan = matches!(effect.op, Op::Handover | Op::Deliver);
        let found = [&order.found, &order.excess]
            .iter()
            .any(|known| known.contains(&effect.reference));
        if !scan && !found && !order.keys.contains(&effect.key) {
            fault(
                5,
                "has an effect outside under a key that the log does not know",
            );
        }
        let known = match effect.op {
            Op::Charge => order.charges.get(&effect.reference) == Some(&effect.amount),
            Op::Refund => order.refunds.get(&effect.reference) == Some(&effect.amount),
            Op::Ship => order.waybills.contains(&effect.reference),
            _ => true,
        };
        if settled && !known && !order.stated {
            fault(
                5,
                &format!("{:?} {} is not on record", effect.op, effect.reference),
            );
        }
    }
    if order.stated {
        return;
    }
    let charged = |reference: &str, amount| {
        at(Op::Charge).any(|effect| effect.reference == reference && effect.amount == amount)
    };
    if order
        .charges
        .iter()
        .any(|(reference, amount)| !charged(reference, *amount))
    {
        fault(5, "has a charge on record that the provider does not know");
    }
    let returned = |reference: &str, amount| {
        at(Op::Refund).any(|effect| effect.reference == reference && effect.amount == amount)
    };
    if order
        .refunds
        .iter()
        .any(|(reference, amount)| !returned(reference, *amount))
    {
        fault(5, "has a refund on record that the provider does not know");
    }
    if order
        .waybills
        .iter()
        .any(|waybill| !at(Op::Ship).any(|effect| effect.reference == *waybill))
    {
        fault(5, "has a parcel on record that the carrier does not know");
    }
}

/// At rest: the money is kept and the parcel is on its way or there; or neither; or a person has to look.
fn rest(effects: &[Effect], order: &OrderLog, fault: &mut impl FnMut(u8, &str)) {
    let status = order.saga.status();
    let parked = status == saga::Status::Parked;
    let Some(placed) = &order.facts.order else {
        fault(1, "has events and was never placed");
        return;
    };
    if parked || order.stated {
        return;
    }
    let sum = |op: Op| {
        effects
            .iter()
            .filter(|e| e.op == op)
            .map(|e| e.amount)
            .sum::<i64>()
    };
    let kept = sum(Op::Charge) - sum(Op::Refund);
    let has = |op: Op| effects.iter().any(|effect| effect.op == op);
    let out = has(Op::Ship) && !has(Op::Cancel);
    let fits = (kept == placed.total.amount && out) || (kept == 0 && !out);
    if order.saga.is_finished() && !fits {
        fault(
            3,
            &format!(
                "ended with {kept} kept and the parcel {}",
                if out { "out" } else { "in" }
            ),
        );
    }
    let over = matches!(placed.status, Status::Rejected | Status::Canceled);
    if order.saga.is_finished() && over != (kept == 0) {
        fault(3, &format!("is {} with {kept} kept", placed.status));
    }
    if order.saga.phase == saga::Phase::New {
        fault(3, "has no saga");
    }
}

fn count(counts: &mut Counts, order: &OrderLog) {
    counts.orders += 1;
    if let Some(placed) = &order.facts.order {
        *counts.by_status.entry(placed.shown_status()).or_default() += 1;
        let currency = placed.total.currency.to_string();
        let sum = |money: &std::collections::HashMap<String, i64>| money.values().sum::<i64>();
        *counts.charged.entry(currency.clone()).or_default() += sum(&order.charges);
        *counts.returned.entry(currency).or_default() += sum(&order.refunds);
    }
    counts.paid += u64::from(!order.charges.is_empty());
    counts.refunded += u64::from(!order.refunds.is_empty());
    counts.shipped += u64::from(!order.waybills.is_empty());
    counts.cancel_refused += order.cancel_refusals;
    for step in &order.saga.steps {
        if let Some(parked) = &step.parked {
            let why = format!("{}: {}", step.name, parked.code);
            *counts.parked_why.entry(why).or_default() += 1;
        }
    }
    match order.saga.status() {
        saga::Status::Parked => counts.parked += 1,
        saga::Status::Running | saga::Status::Unwinding => counts.in_flight += 1,
        saga::Status::Waiting | saga::Status::Completed | saga::Status::Unwound => {}
    }
}

fn count_message(counts: &mut Counts, message: &MessageLog, sends: &[String]) {
    if message.sent.is_some() {
        counts.messages_sent += 1;
    } else if message.failed {
        counts.messages_failed += 1;
    } else if message.suppressed {
        counts.messages_suppressed += 1;
    }
    counts.messages_doubled += u64::from(sends.len() > 1);
}
