//! Parcels.

use aggregates::delivery::{self, Delivery};
use aggregates::order::Status;

use super::{Inside, Outside, Window, is_stated};
use crate::fulfilment::reconcile::finding::{Books, Finding, Kind, Remedy, Safety};
use crate::fulfilment::steps::*;
use crate::providers::ports::{ParcelRecord, ParcelState};

const ASK_CARRIER: &str =
    "Ask the carrier where the parcel is, then settle this and correct the order by hand.";
const VOID_LABEL: &str = "Have the carrier void the label before the van comes, then settle this.";

fn finding(kind: Kind, code: &'static str, order_id: &str, waybill: &str) -> Finding {
    Finding {
        kind,
        books: Books::Carrier,
        code,
        order_id: order_id.to_owned(),
        reference: waybill.to_owned(),
        at_stake: None,
        provider: String::new(),
        log: String::new(),
        suggestion: ASK_CARRIER,
        fix: Safety::Person,
        remedy: Remedy::Person,
    }
}

fn word(state: ParcelState) -> &'static str {
    match state {
        ParcelState::Accepted => "accepted",
        ParcelState::Held => "held",
        ParcelState::HandedOver => "handed over",
        ParcelState::Delivered => "delivered",
        ParcelState::Canceled => "canceled",
    }
}

/// Parcels of an order that the log does not know.
pub(super) fn of_nobody(order_id: &str, outside: &Outside, found: &mut Vec<Finding>) {
    let live = |parcel: &&ParcelRecord| parcel.state != ParcelState::Canceled;
    found.extend(outside.parcels.iter().filter(live).map(|parcel| Finding {
        provider: word(parcel.state).to_owned(),
        log: "no such order".to_owned(),
        ..finding(
            Kind::ProviderOnly,
            "parcel-of-unknown-order",
            order_id,
            &parcel.label.waybill,
        )
    }));
}

pub(super) fn compare(
    order_id: &str,
    inside: &Inside,
    outside: &Outside,
    window: &Window,
    found: &mut Vec<Finding>,
) {
    let before = found.len();
    let delivery = inside.facts.delivery.as_ref();
    let own = delivery.and_then(|delivery| delivery.parcel.as_ref());
    for record in &outside.parcels {
        let known = own.is_some_and(|own| own.waybill == record.label.waybill);
        match delivery.filter(|_| known) {
            Some(delivery) => found.extend(differs(order_id, delivery, record, window)),
            None => found.extend(provider_only(order_id, inside, record)),
        }
    }
    if let (Some(delivery), Some(own)) = (delivery, own) {
        let known = outside
            .parcels
            .iter()
            .any(|record| record.label.waybill == own.waybill);
        let shipped = inside
            .saga
            .step(SHIP)
            .is_some_and(|step| window.covers(step.first_at));
        let off = delivery.status == delivery::Status::Canceled;
        if !known && shipped && !off && !is_stated(&inside.saga, &[SHIP]) {
            found.push(Finding {
                provider: "no such parcel".to_owned(),
                log: delivery.status.as_str().to_owned(),
                ..finding(Kind::LogOnly, "parcel-missing", order_id, &own.waybill)
            });
        }
    }
    // Whatever a parcel does that it should not: what it is worth may be lost.
    let total = inside.facts.order.as_ref().map(|order| order.total);
    found[before..]
        .iter_mut()
        .for_each(|found| found.at_stake = total);
}

/// A parcel that is not on record.
fn provider_only(order_id: &str, inside: &Inside, record: &ParcelRecord) -> Option<Finding> {
    if record.state == ParcelState::Canceled {
        return None;
    }
    let canceled = inside
        .facts
        .order
        .as_ref()
        .is_some_and(|order| order.status == Status::Canceled);
    let adopted = canceled && !inside.saga.is_done(SHIP);
    let mut found = finding(
        Kind::ProviderOnly,
        "second-parcel",
        order_id,
        &record.label.waybill,
    );
    found.provider = word(record.state).to_owned();
    found.log = "no such parcel".to_owned();
    found.suggestion = VOID_LABEL;
    if adopted {
        found.code = "late-parcel";
        found.suggestion = "Call the parcel off; its order is canceled.";
        (found.fix, found.remedy) = (Safety::Automatic, Remedy::AdoptParcel(record.label.clone()));
    }
    Some(found)
}

/// A parcel that both know.
fn differs(
    order_id: &str,
    delivery: &Delivery,
    record: &ParcelRecord,
    window: &Window,
) -> Option<Finding> {
    use ParcelState::{Accepted, Canceled, Delivered, HandedOver, Held};
    use delivery::Status as Own;
    let (code, remedy, suggestion) = match (delivery.status, record.state) {
        (Own::Shipped, HandedOver | Delivered) | (Own::HandedOver, Delivered)
            if !delivery.tracking_lost =>
        {
            (
                "scan-unseen",
                Remedy::LookAgain,
                "Look at the carrier's scans again.",
            )
        }
        // With an exception on record somebody is looking at it already.
        (Own::Held | Own::Canceled, HandedOver | Delivered) if delivery.exception.is_none() => (
            "left-although-called-off",
            Remedy::LookAgain,
            "Look at the carrier's scans again; a person then decides.",
        ),
        // Its saga calls the order off once it has seen that itself.
        (Own::Shipped, Canceled) => (
            "label-voided-outside",
            Remedy::LookAgain,
            "Look at the label again; what cannot leave any more is called off.",
        ),
        (Own::HandedOver | Own::Delivered, Canceled) => {
            ("label-voided-outside", Remedy::Person, ASK_CARRIER)
        }
        (Own::Canceled, Accepted | Held) | (Own::Held, Accepted) => {
            ("label-still-live", Remedy::Person, VOID_LABEL)
        }
        _ => return None,
    };
    let mut found = finding(Kind::StateMismatch, code, order_id, &record.label.waybill);
    if remedy != Remedy::Person {
        found.fix = Safety::Automatic;
    } else if delivery.updated_at > window.until {
        // What we did after the carrier was asked is not in its answer.
        return None;
    }
    found.provider = word(record.state).to_owned();
    found.log = delivery.status.as_str().to_owned();
    (found.remedy, found.suggestion) = (remedy, suggestion);
    Some(found)
}
