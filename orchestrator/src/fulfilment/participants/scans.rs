//! What a carrier's scans mean to the steps that wait for them.

use aggregates::delivery::Scans;
use serde_json::Value;

use super::to_probe;
use crate::fulfilment::facts::Facts;
use crate::fulfilment::outputs::ScansOutput;
use crate::fulfilment::steps::*;
use crate::providers::ports::{Found, Tracking};
use crate::saga::definition::Probe;

/// Longest words of a carrier's that are kept.
const WORDS_MAX: usize = 200;

/// What the scans so far are to the step that waits: its end, news on the way, or nothing.
///
/// A label that was voided by somebody else is the end of a parcel that is wanted and has not left: nothing can leave under it, so
/// the order is called off as if the carrier had refused it. Where the order is called off already it is most likely our own
/// doing, and the parcel is still looked for: a van may take it along all the same.
pub(super) fn scanned(
    step: &str,
    tracking: Found<Tracking>,
    facts: &Facts,
    is_wanted: bool,
) -> Probe {
    let tracking = match tracking {
        Found::Done(tracking) => tracking,
        Found::Refused(_) if step != HANDOVER || !is_wanted => return Probe::NotFound,
        other => return to_probe(other.map(drop)),
    };
    let awaited = match step {
        // A carrier that missed the first scan has it all the same, as the later ones show.
        HANDOVER => tracking
            .handed_over_at
            .or(tracking.in_transit_at)
            .or(tracking.out_for_delivery_at)
            .or(tracking.delivered_at),
        _ => tracking.delivered_at,
    };
    let seen = output(&tracking);
    match awaited {
        Some(_) => Probe::Done(seen.map_or(Value::Null, to_json)),
        None if step == TRACK => match seen.filter(|seen| is_news(seen, facts)) {
            Some(seen) => Probe::Progress {
                signal: SCANS,
                data: to_json(seen),
            },
            None => Probe::NotFound,
        },
        None => Probe::NotFound,
    }
}

/// Everything between the van and the door, if there is anything.
fn output(tracking: &Tracking) -> Option<ScansOutput> {
    let trouble = tracking.exception.as_ref();
    let scans = Scans {
        in_transit_at: tracking.in_transit_at,
        out_for_delivery_at: tracking.out_for_delivery_at,
        trouble: trouble.map(|(at, words)| (*at, words.chars().take(WORDS_MAX).collect())),
    };
    (scans != Scans::default()).then(|| ScansOutput::from(scans))
}

/// Whether the order's books would say more with them.
fn is_news(seen: &ScansOutput, facts: &Facts) -> bool {
    let delivery = facts.delivery.as_ref();
    delivery.is_some_and(|delivery| delivery.learns(&seen.clone().into()))
}

fn to_json(seen: ScansOutput) -> Value {
    serde_json::to_value(seen).expect("times and words are plain JSON")
}
