//! The views against the events that they were made from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::dossier::Dossier;
use super::evidence::{Evidence, stream, text};
use super::{Findings, Rule};

pub(super) fn check_order(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    let Some(row) = dossier.customer_row else {
        if dossier.has("Ordered") {
            found.add(Rule::View, order, "has no row in the customer view");
        }
        return;
    };
    let ordered = dossier
        .of_type("Ordered")
        .next()
        .map_or(&Value::Null, |event| &event["data"]);
    let waybill = dossier
        .of_type("Shipped")
        .last()
        .map_or(&Value::Null, |event| &event["data"]["waybill"]);
    let wanted = [
        ("/status", json!(dossier.status())),
        ("/total", ordered["total"].clone()),
        ("/customerId", ordered["customerId"].clone()),
        ("/payment/paid", money(dossier, ["Paid", "ExcessCharged"])),
        (
            "/payment/refunded",
            money(dossier, ["PayCanceled", "ExcessReturned"]),
        ),
        ("/delivery/waybill", waybill.clone()),
    ];
    for (place, wanted) in wanted {
        let shown = row.pointer(place).unwrap_or(&Value::Null);
        if *shown != wanted {
            found.add(
                Rule::View,
                order,
                format!("the customer view shows {shown} at {place}, the events {wanted}"),
            );
        }
    }
}

/// A sum of money, where there is a payment at all.
fn money<'a>(dossier: &Dossier<'a>, wanted: [&'a str; 2]) -> Value {
    let mut events = dossier.events.iter();
    if events.any(|event| stream(event).0 == "payment") {
        json!(
            wanted
                .map(|event| dossier.recorded(event))
                .iter()
                .sum::<i64>()
        )
    } else {
        Value::Null
    }
}

pub(super) fn check_sagas(evidence: &Evidence, found: &mut Findings) {
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for event in &evidence.events {
        if let ("saga", id) = stream(event) {
            let kind = text(event, "type");
            let place = last.entry(id).or_default();
            if matches!(
                kind,
                "SagaStarted" | "UnwindStarted" | "CancelRefused" | "SagaCompleted" | "SagaUnwound"
            ) {
                *place = kind;
            } else if event["data"]["late"] == true {
                // What turns up late may open it again; the row says whether it did.
                *place = "late";
            }
        }
    }
    let mut seen = BTreeSet::new();
    for row in &evidence.sagas {
        let (id, status) = (text(row, "sagaId"), text(row, "status"));
        seen.insert(id);
        let goes_on = matches!(status, "running" | "waiting" | "unwinding");
        if goes_on && row["dueAt"].is_null() {
            let what = format!("is {status} and never looked at");
            found.add(Rule::NoDueTime, id, what);
        }
        let right = match last.get(id).copied() {
            Some("SagaCompleted") => status == "completed",
            Some("SagaUnwound") => status == "unwound",
            Some("late") => true,
            Some(_) => !matches!(status, "completed" | "unwound"),
            None => false,
        };
        if !right {
            found.add(
                Rule::View,
                id,
                format!(
                    "the saga view shows {status}, the events {:?}",
                    last.get(id)
                ),
            );
        }
    }
    for id in last.keys().filter(|id| !seen.contains(*id)) {
        found.add(Rule::View, id, "has no row in the saga view");
    }
}
