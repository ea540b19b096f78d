//! What each customer does and what goes wrong for it, by one dice: three of ten orders meet one fault out of the list, and
//! nobody else meets any.

use std::time::Duration;

use serde_json::{Value, json};

use super::{dice, id};

pub(super) const SEED: u64 = 20_261_122;

/// The share of orders that something is to go wrong for. Some of it never comes to pass: a refund is only refused to
/// somebody who gets one, and a call may be lucky.
const SHARE: f64 = 0.38;

/// How often a call goes wrong that is made again. Were it every time, those who ask in vain would be the only ones to try
/// whether their provider is back, and nobody else would be served before the storm is over.
const AGAIN: f64 = 0.7;

/// What can go wrong with any call.
const FAULTS: [&str; 10] = [
    "down",
    "delay",
    "commit-then-drop",
    "drop-before-commit",
    "in-progress",
    "error-after-commit",
    "drip",
    "huge",
    "garbage",
    "html",
];

/// What webhooks do to the shop.
const WEBHOOKS: [&str; 4] = [
    "webhook-duplicate",
    "webhook-late",
    "webhook-reordered",
    "webhook-contradictory",
];

/// One operation, and what can go wrong with it besides, with the code where it is a refusal for good.
struct Operation {
    port: &'static str,
    op: &'static str,
    own: &'static [(&'static str, Option<&'static str>)],
}

const fn operation(
    port: &'static str,
    op: &'static str,
    own: &'static [(&'static str, Option<&'static str>)],
) -> Operation {
    Operation { port, op, own }
}

/// What every order goes through.
const FORWARD: [Operation; 6] = [
    operation(
        "payment",
        "charge",
        &[
            ("decline", Some("REJECT_CARD_PAYMENT")),
            ("forget-key", None),
        ],
    ),
    operation(
        "carrier",
        "ship",
        &[("refuse", Some("address-refused")), ("forget-key", None)],
    ),
    operation("carrier", "query", &[]),
    operation("carrier", "handover", &[]),
    operation("carrier", "deliver", &[]),
    operation("kakao", "send", &[]),
];

/// What those go through as well that are canceled.
const BACK: [Operation; 3] = [
    operation(
        "payment",
        "refund",
        &[
            ("refuse", Some("REFUND_REJECTED")),
            ("async", None),
            ("forget-key", None),
        ],
    ),
    operation(
        "carrier",
        "hold",
        &[("refuse", Some("handed-over")), ("forget-key", None)],
    ),
    operation("carrier", "cancel", &[("forget-key", None)]),
];

impl Operation {
    /// Whether it comes about only for parcels that go their way.
    fn is_by_carrier(&self) -> bool {
        matches!(self.op, "query" | "handover" | "deliver")
    }

    /// All that can go wrong with it.
    fn faults(&self) -> Vec<(&'static str, Option<&'static str>)> {
        let by_van = matches!(self.op, "handover" | "deliver");
        let told = by_van || matches!(self.op, "charge" | "refund" | "send");
        // Only what is done under a key is known while it is in hand.
        let keyed = !matches!(self.op, "send" | "query");
        let any = FAULTS
            .iter()
            .filter(|fault| keyed || **fault != "in-progress");
        let any = any.filter(|_| !by_van);
        let webhooks = WEBHOOKS.iter().filter(|_| told);
        let all = any.chain(webhooks).map(|fault| (*fault, None));
        all.chain(self.own.iter().copied()).collect()
    }
}

/// What becomes of the nth customer.
pub(super) struct Plan {
    /// Thinks better of it after so long.
    pub(super) cancels_after: Option<Duration>,
    rules: Vec<Value>,
}

impl Plan {
    pub(super) fn of(nth: usize) -> Self {
        let mut dice = dice(SEED, nth);
        let cancels = dice.u8(0..10) < 4;
        let cancels_after = cancels.then(|| Duration::from_millis(dice.u64(0..1500)));
        let mut rules = Vec::new();
        if dice.f64() < SHARE {
            // Those who cancel meet no van, if they are in time.
            let forward = FORWARD.iter().filter(|it| !cancels || !it.is_by_carrier());
            let back = BACK.iter().filter(|_| cancels);
            let operations: Vec<_> = forward.chain(back).collect();
            let operation = operations[dice.usize(0..operations.len())];
            let faults = operation.faults();
            let (fault, code) = faults[dice.usize(0..faults.len())];
            let (order, port) = (id(&nth.to_string()), operation.port);
            let rule = |op: &str, fault: &str, rate: f64| json!({ "port": port, "op": op, "fault": fault, "rate": rate, "orderId": order, "delayMs": 300, "code": code });
            // A key that is forgotten makes a difference to whoever has to ask again.
            if fault == "forget-key" {
                rules.push(rule(operation.op, "commit-then-drop", 0.5));
            }
            let passes = FAULTS.contains(&fault) && fault != "delay";
            rules.push(rule(operation.op, fault, if passes { AGAIN } else { 1.0 }));
            // Every other time nobody can be asked what came of it, either.
            if matches!(operation.op, "charge" | "refund") && dice.bool() {
                rules.push(rule("query", "drop-before-commit", 0.5));
            }
        }
        Self {
            cancels_after,
            rules,
        }
    }
}

/// The rules of a whole crowd.
pub(super) fn weather(crowd: usize) -> Value {
    let mut rules: Vec<_> = (0..crowd).flat_map(|nth| Plan::of(nth).rules).collect();
    // A dealer is asked what it has only by those whose message went wrong.
    for fault in FAULTS.iter().filter(|fault| **fault != "in-progress") {
        let rate = 0.3 / FAULTS.len() as f64;
        rules.push(
            json!({ "port": "kakao", "op": "query", "fault": fault, "rate": rate, "delayMs": 300 }),
        );
    }
    Value::Array(rules)
}
