//! Money and parcel at every moment, by the providers' own books.

use super::dossier::Dossier;
use super::evidence::{int, is_effect};
use super::{Findings, Rule};

pub(super) fn check(dossier: &Dossier<'_>, found: &mut Findings) {
    outside(dossier, found);
    inside(dossier, found);
}

fn outside(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    let parcels = dossier.effects("ship").count();
    if parcels > 1 {
        found.add(Rule::ShippedTwice, order, format!("has {parcels} parcels"));
    }
    let (mut charged, mut refunded, mut left) = (0, 0, false);
    for line in &dossier.ledger {
        let (seq, amount) = (int(line, "seq"), int(line, "amount"));
        if is_effect(line, "charge") {
            if charged > refunded {
                found.add(
                    Rule::DoubleCharge,
                    order,
                    format!("line {seq} charges what is charged"),
                );
            }
            charged += amount;
        } else if is_effect(line, "refund") {
            refunded += amount;
            if refunded > charged {
                found.add(
                    Rule::OverRefund,
                    order,
                    format!("after line {seq} {refunded} of {charged} are back"),
                );
            }
            if left {
                found.add(
                    Rule::RefundAfterHandover,
                    order,
                    format!("line {seq} refunds a parcel that left"),
                );
            }
        } else if is_effect(line, "ship") && charged <= refunded {
            found.add(
                Rule::Unpaid,
                order,
                format!("line {seq} ships what is not paid"),
            );
        }
        left |= is_effect(line, "handover");
    }
}

fn inside(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    let (mut charged, mut refunded, mut left) = (0, 0, false);
    for event in &dossier.events {
        let (position, amount) = (int(event, "position"), int(&event["data"], "amount"));
        match event["type"].as_str().unwrap_or_default() {
            "Paid" | "ExcessCharged" => charged += amount,
            "PayCanceled" | "ExcessReturned" => {
                refunded += amount;
                if refunded > charged {
                    found.add(
                        Rule::OverRefund,
                        order,
                        format!("at {position} more is back than was taken"),
                    );
                }
                if left && event["type"] == "PayCanceled" {
                    found.add(
                        Rule::RefundAfterHandover,
                        order,
                        format!("refunded at {position} after it left"),
                    );
                }
            }
            "Shipped" if charged <= refunded => {
                found.add(
                    Rule::Unpaid,
                    order,
                    format!("shipped at {position} without payment"),
                );
            }
            "HandedOver" => left = true,
            _ => {}
        }
    }
}
