//! How every order ends: all money kept and a parcel, no money and no parcel, or a person has it.

use serde_json::Value;

use super::dossier::Dossier;
use super::evidence::{int, is_effect, text};
use super::{Findings, Rule};

pub(super) fn check(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    if !dossier.has("Ordered") {
        return;
    }
    if dossier.is_parked() {
        return parked(dossier, found);
    }
    let status = dossier.status();
    if !matches!(
        status,
        "Shipped" | "HandedOver" | "Delivered" | "Rejected" | "Canceled"
    ) {
        found.add(Rule::Unsettled, order, format!("is still {status}"));
        return;
    }
    let total = dossier
        .of_type("Ordered")
        .map(|event| int(&event["data"], "total"))
        .sum::<i64>();
    let (kept, parcel) = (
        dossier.moved("charge") - dossier.moved("refund"),
        has_parcel(dossier),
    );
    let sold = kept == total && parcel;
    let undone = kept == 0 && !parcel;
    let over = matches!(status, "Rejected" | "Canceled");
    if !(sold || undone) || over == sold {
        let parcel = if parcel { "a parcel" } else { "no parcel" };
        found.add(
            Rule::Unsettled,
            order,
            format!("is {status} with {kept} of {total} kept and {parcel}"),
        );
    }
}

/// A person has it because somebody outside said no, or a van took along what was to stay; and finds why and what is at stake.
fn parked(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    let mut held = false;
    let mut cause = false;
    for line in &dossier.ledger {
        let no = line["result"] == "refused";
        cause |= no && matches!(text(line, "op"), "ship" | "hold" | "refund" | "cancel");
        held |= is_effect(line, "hold") || is_effect(line, "cancel");
        cause |= held && is_effect(line, "handover");
    }
    if !cause {
        found.add(Rule::Parked, order, "is parked, and nobody outside said no");
    }
    let row = dossier.saga_row.unwrap_or(&Value::Null);
    let told = |field: &str| !text(row, field).is_empty();
    let stake = int(&row["atStake"], "amount");
    let told = told("code") && told("reason") && told("suggestion");
    if row["status"] != "parked" || !told || stake <= 0 {
        found.add(
            Rule::Parked,
            order,
            format!("is parked, and a person is told only {row}"),
        );
    }
}

/// Whether a parcel is with the carrier for good, by the carrier's books.
fn has_parcel(dossier: &Dossier<'_>) -> bool {
    let mut parcel = false;
    for line in &dossier.ledger {
        parcel |= is_effect(line, "ship") || is_effect(line, "handover");
        parcel &= !is_effect(line, "cancel");
    }
    parcel
}
