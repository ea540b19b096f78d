//! What the figures of a storm are counted from: the providers' ledger, the log, the saga view, and what customers heard.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::checker::{Asked, Evidence};

/// Charges and refunds of each order by the ledger, as how often and how much is kept.
fn moved(evidence: &Evidence) -> BTreeMap<&str, (i64, i64)> {
    let mut moved = BTreeMap::new();
    let done = evidence
        .ledger
        .iter()
        .filter(|line| line["result"] == "done");
    for line in done {
        let sign = match line["op"].as_str() {
            Some("charge") => 1,
            Some("refund") => -1,
            _ => continue,
        };
        let order = line["orderId"].as_str().unwrap_or_default();
        let kept: &mut (i64, i64) = moved.entry(order).or_default();
        kept.0 += sign;
        kept.1 += sign * line["amount"].as_i64().unwrap_or_default();
    }
    moved
}

/// Orders of which more than one charge is kept.
pub(super) fn doubles(evidence: &Evidence) -> usize {
    moved(evidence)
        .values()
        .filter(|(kept, _)| *kept > 1)
        .count()
}

/// Minor units that the provider has in the end.
pub(super) fn kept_by_ledger(evidence: &Evidence) -> i64 {
    moved(evidence).values().map(|(_, amount)| amount).sum()
}

/// Minor units that it has by our own books.
pub(super) fn kept_by_log(evidence: &Evidence) -> i64 {
    let kept = |event: &Value| {
        let amount = event["data"]["amount"].as_i64().unwrap_or_default();
        match event["type"].as_str() {
            Some("Paid" | "ExcessCharged") => amount,
            Some("PayCanceled" | "ExcessReturned") => -amount,
            _ => 0,
        }
    };
    evidence.events.iter().map(kept).sum()
}

/// Orders that a customer was told of and that the log does not have.
pub(super) fn lost(evidence: &Evidence) -> usize {
    let ordered = evidence
        .events
        .iter()
        .filter(|event| event["type"] == "Ordered");
    let ordered: BTreeSet<_> = ordered
        .filter_map(|event| event["data"]["orderId"].as_str())
        .collect();
    let told = evidence
        .replies
        .iter()
        .filter(|reply| reply.asked == Asked::Place);
    let told: BTreeSet<_> = told.map(|reply| reply.order.as_str()).collect();
    told.difference(&ordered).count()
}

/// Sagas that go on and that nobody would ever look at again.
pub(super) fn without_due_time(evidence: &Evidence) -> usize {
    let goes_on = |row: &&Value| {
        matches!(
            row["status"].as_str(),
            Some("running" | "waiting" | "unwinding")
        )
    };
    let going = evidence.sagas.iter().filter(goes_on);
    going.filter(|row| row["dueAt"].is_null()).count()
}
