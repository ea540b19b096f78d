//! Everything that was found about one order, from all sources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::evidence::{Evidence, Reply, int, is_effect, stream, text};

/// One order.
#[derive(Default)]
pub(super) struct Dossier<'a> {
    pub(super) order: &'a str,
    /// Its money and its parcel, by the providers' own books, in their sequence.
    pub(super) ledger: Vec<&'a Value>,
    /// The events of its order, payment and delivery, in the order of the log.
    pub(super) events: Vec<&'a Value>,
    /// The events of its saga.
    pub(super) saga: Vec<&'a Value>,
    /// The events of sagas of their own that give charges back which pay for nothing.
    pub(super) restitutions: Vec<&'a Value>,
    pub(super) customer_row: Option<&'a Value>,
    pub(super) saga_row: Option<&'a Value>,
    pub(super) replies: Vec<&'a Reply>,
}

impl<'a> Dossier<'a> {
    /// Its events of these types.
    pub(super) fn of_type(&self, wanted: &'a str) -> impl Iterator<Item = &'a Value> + '_ {
        self.events
            .iter()
            .copied()
            .filter(move |event| event["type"] == wanted)
    }

    pub(super) fn has(&self, wanted: &str) -> bool {
        self.events.iter().any(|event| event["type"] == wanted)
    }

    /// The sum of the amounts of its events of this type.
    pub(super) fn recorded(&self, wanted: &'a str) -> i64 {
        self.of_type(wanted)
            .map(|event| int(&event["data"], "amount"))
            .sum()
    }

    /// Its effects of this kind.
    pub(super) fn effects(&self, op: &'a str) -> impl Iterator<Item = &'a Value> + '_ {
        self.ledger
            .iter()
            .copied()
            .filter(move |line| is_effect(line, op))
    }

    /// The sum of the money that effects of this kind moved.
    pub(super) fn moved(&self, op: &'a str) -> i64 {
        self.effects(op).map(|line| int(line, "amount")).sum()
    }

    /// A step of it waits for a person.
    pub(super) fn is_parked(&self) -> bool {
        let mut parked = BTreeMap::new();
        for event in &self.saga {
            let step = text(&event["data"], "step");
            match text(event, "type") {
                "StepParked" => drop(parked.insert(step, ())),
                // An end of its own takes the mark off.
                "StepDone" | "StepRefused" | "StepResolved" | "StepSkipped" | "RetryRequested" => {
                    parked.remove(step);
                }
                // Turning round takes what was parked on the way forward up again.
                "UnwindStarted" => parked.clear(),
                _ => {}
            }
        }
        !parked.is_empty()
    }

    /// What a reader of its own events calls it.
    pub(super) fn status(&self) -> &'static str {
        let (mut stage, mut asked) = ("", false);
        for event in &self.events {
            stage = match text(event, "type") {
                "Ordered" => "Pending",
                "OrderPaid" => "Paid",
                "OrderShipped" => "Shipped",
                "OrderHandedOver" | "OrderCancelTakenBack" => "HandedOver",
                "OrderDelivered" => "Delivered",
                "OrderRejected" => "Rejected",
                "OrderCanceled" => {
                    asked = false;
                    "Canceled"
                }
                other => {
                    asked =
                        (asked || other == "OrderCancelRequested") && other != "OrderCancelRefused";
                    stage
                }
            };
        }
        if asked { "Canceling" } else { stage }
    }
}

/// One dossier per order that any source knows of.
pub(super) fn dossiers(evidence: &Evidence) -> BTreeMap<&str, Dossier<'_>> {
    let mut all: BTreeMap<&str, Dossier<'_>> = BTreeMap::new();
    for line in evidence
        .ledger
        .iter()
        .filter(|line| line["port"] != "kakao")
    {
        of(&mut all, text(line, "orderId")).ledger.push(line);
    }
    for event in &evidence.events {
        if let ("order" | "payment" | "delivery", id) = stream(event) {
            of(&mut all, id).events.push(event);
        }
    }
    for reply in evidence.replies.iter() {
        of(&mut all, &reply.order).replies.push(reply);
    }
    for row in &evidence.customers {
        of(&mut all, text(row, "orderId")).customer_row = Some(row);
    }
    // Messages have sagas of their own, which are no orders.
    for event in &evidence.events {
        if let ("saga", id) = stream(event)
            && let Some(dossier) = all.get_mut(id)
        {
            dossier.saga.push(event);
        }
    }
    let restitutions = restitutions(evidence);
    for event in &evidence.events {
        if let ("saga", id) = stream(event)
            && let Some(dossier) = restitutions.get(id).and_then(|order| all.get_mut(order))
        {
            dossier.restitutions.push(event);
        }
    }
    for row in &evidence.sagas {
        if let Some(dossier) = all.get_mut(text(row, "sagaId")) {
            dossier.saga_row = Some(row);
        }
    }
    all
}

/// The orders of the sagas that give charges back.
fn restitutions(evidence: &Evidence) -> BTreeMap<&str, &str> {
    let started = evidence
        .events
        .iter()
        .filter(|event| event["type"] == "SagaStarted");
    let own = started.filter(|event| event["data"]["saga"] == "return-charge");
    own.map(|event| (stream(event).1, text(&event["data"]["input"], "orderId")))
        .collect()
}

fn of<'a, 'b>(all: &'b mut BTreeMap<&'a str, Dossier<'a>>, order: &'a str) -> &'b mut Dossier<'a> {
    all.entry(order).or_insert_with(|| Dossier {
        order,
        ..Dossier::default()
    })
}
