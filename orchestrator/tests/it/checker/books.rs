//! Ledger and log as sets of (what, key, amount): each effect is in both.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::dossier::Dossier;
use super::evidence::{int, text};
use super::{Findings, Rule};

/// The kinds of effects that both sides know by key.
const KEYED: [&str; 5] = ["charge", "refund", "ship", "hold", "cancel"];

type Effect<'a> = (&'static str, &'a str, i64);

pub(super) fn check(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    let (outside, inside) = (outside(dossier), inside(dossier));
    // What was adopted from the provider's books has no key of ours: it is one of those that we do not know.
    let mut adopted = inside.adopted;
    for (op, key, amount) in outside.difference(&inside.keyed) {
        match adopted.iter().position(|known| *known == (*op, *amount)) {
            Some(known) => drop(adopted.swap_remove(known)),
            None => found.add(
                Rule::Books,
                order,
                format!("the log has no {op} of {amount} under {key}"),
            ),
        }
    }
    for (op, key, amount) in inside.keyed.difference(&outside) {
        found.add(
            Rule::Books,
            order,
            format!("the ledger has no {op} of {amount} under {key}"),
        );
    }
    for (op, amount) in adopted {
        found.add(
            Rule::Books,
            order,
            format!("the ledger has no such {op} of {amount}"),
        );
    }
    for (events, op) in [
        (["Paid", "ExcessCharged"], "charge"),
        (["PayCanceled", "ExcessReturned"], "refund"),
    ] {
        let (told, moved) = (
            events
                .map(|event| dossier.recorded(event))
                .iter()
                .sum::<i64>(),
            dossier.moved(op),
        );
        if told != moved {
            found.add(
                Rule::Books,
                order,
                format!("{events:?} add up to {told}, {op} to {moved}"),
            );
        }
    }
    if dossier.has("HandedOver") && dossier.effects("handover").next().is_none() {
        found.add(
            Rule::Books,
            order,
            "no van took along what the log says has left",
        );
    }
    if !dossier.ledger.is_empty() && !dossier.has("Ordered") {
        found.add(Rule::Books, order, "nobody ordered what the providers did");
    }
}

fn outside<'a>(dossier: &Dossier<'a>) -> BTreeSet<Effect<'a>> {
    let effects = KEYED
        .iter()
        .flat_map(|op| dossier.effects(op).map(move |line| (*op, line)));
    effects
        .map(|(op, line)| (op, text(line, "key"), int(line, "amount")))
        .collect()
}

/// What the log says was done.
#[derive(Default)]
struct Inside<'a> {
    /// With the key under which it had begun.
    keyed: BTreeSet<Effect<'a>>,
    /// Found in the provider's books.
    adopted: Vec<(&'static str, i64)>,
}

fn inside<'a>(dossier: &Dossier<'a>) -> Inside<'a> {
    let mut inside = Inside::default();
    let mut keys: HashMap<(&str, &str, i64), &str> = HashMap::new();
    let mut last_pay = "";
    for event in dossier.saga.iter().chain(&dossier.restitutions) {
        let data: &Value = &event["data"];
        let (saga, step, attempt) = (
            text(event, "stream"),
            text(data, "step"),
            int(data, "attempt"),
        );
        match text(event, "type") {
            "StepStarted" => {
                if step == "pay" {
                    last_pay = text(data, "key");
                }
                keys.insert((saga, step, attempt), text(data, "key"));
            }
            "StepDone" => {
                let amount = int(&data["output"], "amount");
                let Some((op, amount)) = effect(step, amount) else {
                    continue;
                };
                // Only looked for, under the key of the payment that was given up.
                let own = (step == "late-charge").then_some(last_pay);
                match own.or_else(|| keys.get(&(saga, step, attempt)).copied()) {
                    Some(key) => drop(inside.keyed.insert((op, key, amount))),
                    None => inside.adopted.push((op, amount)),
                }
            }
            // A person found that it is so: done by somebody else, or under a key that nobody heard of.
            "StepResolved" if data["outcome"] == "done" => {
                let amount = int(&data["evidence"], "amount");
                inside.adopted.extend(effect(step, amount));
            }
            _ => {}
        }
    }
    let excess = dossier.of_type("ExcessCharged");
    inside
        .adopted
        .extend(excess.map(|event| ("charge", int(&event["data"], "amount"))));
    inside
}

/// What a step that is done has done outside.
fn effect(step: &str, amount: i64) -> Option<(&'static str, i64)> {
    match step {
        "pay" | "late-charge" => Some(("charge", amount)),
        "refund" | "return-charge" => Some(("refund", amount)),
        "ship" => Some(("ship", 0)),
        "hold" => Some(("hold", 0)),
        "cancel-delivery" => Some(("cancel", 0)),
        _ => None,
    }
}
