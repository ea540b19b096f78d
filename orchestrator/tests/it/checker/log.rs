//! The log and the ledger as such: nothing missing, nothing twice.

use std::collections::{HashMap, HashSet};

use super::evidence::{Evidence, int, text};
use super::{Findings, Rule};

pub(super) fn check(evidence: &Evidence, found: &mut Findings) {
    let mut versions: HashMap<&str, i64> = HashMap::new();
    let mut ids = HashSet::new();
    for (wanted, event) in (1..).zip(&evidence.events) {
        let (position, stream) = (int(event, "position"), text(event, "stream"));
        if position != wanted {
            found.add(
                Rule::Dense,
                stream,
                format!("position {position} stands where {wanted} should"),
            );
        }
        let last = versions.entry(stream).or_default();
        *last += 1;
        let version = int(event, "version");
        if version != *last {
            found.add(
                Rule::Dense,
                stream,
                format!("version {version} stands where {last} should"),
            );
        }
        if !ids.insert(text(event, "eventId")) {
            found.add(
                Rule::Dense,
                stream,
                format!("the event at {position} is there twice"),
            );
        }
    }
    for (wanted, line) in (1..).zip(&evidence.ledger) {
        let seq = int(line, "seq");
        if seq != wanted {
            found.add(
                Rule::Dense,
                "ledger",
                format!("line {seq} stands where {wanted} should"),
            );
        }
    }
}
