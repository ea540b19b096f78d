//! Messages: each sent once, in both books, and shown as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::evidence::{Evidence, is_effect, stream, text};
use super::{Findings, Rule};

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    let mut sends: BTreeMap<&str, u32> = BTreeMap::new();
    for line in evidence
        .ledger
        .iter()
        .filter(|line| is_effect(line, "send"))
    {
        *sends.entry(text(line, "key")).or_default() += 1;
    }
    let mut state: BTreeMap<&str, &str> = BTreeMap::new();
    for event in &evidence.events {
        if let ("kakao", id) = stream(event) {
            let now = match text(event, "type") {
                "SentMessage" => "sent",
                "MessageFailed" => "failed",
                "MessageSuppressed" => "suppressed",
                _ => "requested",
            };
            state.insert(id, now);
        }
    }
    for (id, times) in &sends {
        if *times > 1 {
            found.add(Rule::MessageTwice, id, format!("was sent {times} times"));
        }
        if state.get(id) != Some(&"sent") {
            found.add(
                Rule::Books,
                id,
                format!("was sent, and the log calls it {:?}", state.get(id)),
            );
        }
    }
    for (id, _) in state.iter().filter(|(_, state)| **state == "sent") {
        if !sends.contains_key(id) {
            found.add(
                Rule::Books,
                id,
                "is sent by the log and not by the dealer's books",
            );
        }
    }
    rows(&evidence.messages, &state, found);
}

fn rows(rows: &[Value], state: &BTreeMap<&str, &str>, found: &mut Findings) {
    let shown: BTreeSet<(&str, &str)> = rows
        .iter()
        .map(|row| (text(row, "messageId"), text(row, "state")))
        .collect();
    let wanted: BTreeSet<(&str, &str)> = state.iter().map(|(id, state)| (*id, *state)).collect();
    for (id, state) in wanted.symmetric_difference(&shown) {
        found.add(
            Rule::View,
            id,
            format!("is {state} in only one of events and message view"),
        );
    }
}
