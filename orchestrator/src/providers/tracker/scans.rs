//! From scans in any order to how far a parcel is. Pure.

use chrono::{DateTime, Duration, Utc};

use super::wire::{Event, Track};
use crate::providers::ports::Tracking;

/// Carriers use their numbers again: what was scanned before the shipment was a parcel of somebody else. Clocks disagree, and
/// some carriers write times of another zone, but no number comes back within a day.
const ALLOWANCE: Duration = Duration::days(1);

/// What a scan proves. A later stage proves the earlier ones, whether they were scanned or not, and nothing disproves one.
fn stage(code: &str) -> u8 {
    match code {
        "AT_PICKUP" => 1,
        "IN_TRANSIT" => 2,
        "OUT_FOR_DELIVERY" | "ATTEMPT_FAIL" | "AVAILABLE_FOR_PICKUP" => 3,
        "DELIVERED" => 4,
        // UNKNOWN, INFORMATION_RECEIVED, EXCEPTION, and what is invented later.
        _ => 0,
    }
}

const PROBLEM: &str = "The carrier has a problem with the parcel.";
const NOT_AT_HOME: &str = "The carrier came to the door and could not deliver.";

/// Everything that people may hear of a parcel on its way.
pub(in crate::providers) const TROUBLES: [&str; 2] = [PROBLEM, NOT_AT_HOME];

/// What people should hear of.
fn trouble(code: &str) -> Option<&'static str> {
    match code {
        "EXCEPTION" => Some(PROBLEM),
        "ATTEMPT_FAIL" => Some(NOT_AT_HOME),
        _ => None,
    }
}

/// What the scans say of a parcel that was shipped at that time.
pub(super) fn tracking(track: &Track, shipped_at: DateTime<Utc>, now: DateTime<Utc>) -> Tracking {
    let events = ours(track, shipped_at - ALLOWANCE, now);
    let reached = |wanted: u8| {
        let proofs = events.iter().filter(|(_, code)| stage(code) >= wanted);
        proofs.map(|(at, _)| *at).min()
    };
    let troubles = events
        .iter()
        .filter_map(|(at, code)| Some((*at, trouble(code)?)));
    let delivered_at = reached(4);
    Tracking {
        handed_over_at: reached(1),
        in_transit_at: reached(2),
        out_for_delivery_at: reached(3),
        delivered_at,
        // Whatever went wrong on the way is over when it is there.
        exception: troubles
            .max()
            .filter(|_| delivered_at.is_none())
            .map(|(at, what)| (at, what.to_owned())),
    }
}

/// The scans since then. One without a time can be anybody's, unless all that have one are ours.
fn ours(track: &Track, since: DateTime<Utc>, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, &str)> {
    let listed = track.events.iter().flat_map(|events| &events.edges);
    let listed = listed.map(|edge| &edge.node);
    // The provider's own conclusion, which may know better than the list.
    let events = listed.chain(&track.last_event);
    let times = || events.clone().filter_map(|event: &Event| event.time);
    let all_ours = times().next().is_some() && times().all(|at| at >= since);
    let untimed = all_ours.then_some(now);
    events
        .clone()
        .filter_map(|event| Some((event.time.or(untimed)?, event.status.code.as_str())))
        .filter(|(at, _)| *at >= since)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn hours_ago(hours: i64) -> DateTime<Utc> {
        now() - Duration::hours(hours)
    }

    fn track(events: &[(i64, &str)], last: Option<(i64, &str)>) -> Track {
        let event = |(hours, code): (i64, &str)| serde_json::json!({ "time": hours_ago(hours), "status": { "code": code } });
        let edges: Vec<_> = events
            .iter()
            .map(|it| serde_json::json!({ "node": event(*it) }))
            .collect();
        let last = last.map(event);
        let track = serde_json::json!({ "lastEvent": last, "events": { "edges": edges } });
        serde_json::from_value(track).unwrap()
    }

    #[test]
    fn every_documented_status_proves_its_stage_and_those_before_it() {
        for (code, stages) in [
            ("UNKNOWN", 0),
            ("INFORMATION_RECEIVED", 0),
            ("AT_PICKUP", 1),
            ("IN_TRANSIT", 2),
            ("OUT_FOR_DELIVERY", 3),
            ("ATTEMPT_FAIL", 3),
            ("AVAILABLE_FOR_PICKUP", 3),
            ("DELIVERED", 4),
            ("EXCEPTION", 0),
            ("SOMETHING_NEW", 0),
        ] {
            let seen = tracking(&track(&[(1, code)], None), hours_ago(24 * 3), now());
            let moments = [
                seen.handed_over_at,
                seen.in_transit_at,
                seen.out_for_delivery_at,
                seen.delivered_at,
            ];
            assert_eq!(moments.iter().flatten().count(), stages, "{code}");
            let told = matches!(code, "ATTEMPT_FAIL" | "EXCEPTION");
            assert_eq!(seen.exception.is_some(), told, "{code}");
        }
    }

    #[test]
    fn scans_out_of_order_never_move_a_parcel_backward() {
        let scans = [
            (5, "AT_PICKUP"),
            (4, "IN_TRANSIT"),
            (3, "DELIVERED"),
            (2, "OUT_FOR_DELIVERY"),
        ];
        let mut shuffled = scans;
        for _ in 0..scans.len() {
            shuffled.rotate_left(1);
            let seen = tracking(
                &track(&shuffled, Some((3, "DELIVERED"))),
                hours_ago(24 * 3),
                now(),
            );
            assert_eq!(seen.handed_over_at, Some(hours_ago(5)));
            assert_eq!(seen.delivered_at, Some(hours_ago(3)));
            assert_eq!(seen.exception, None);
        }
    }

    #[test]
    fn the_last_event_counts_even_if_the_list_does_not_have_it() {
        let seen = tracking(
            &track(&[(5, "IN_TRANSIT")], Some((1, "DELIVERED"))),
            hours_ago(24 * 3),
            now(),
        );
        assert_eq!(seen.delivered_at, Some(hours_ago(1)));
    }

    #[test]
    fn a_parcel_that_bore_the_number_before_the_shipment_is_not_ours() {
        for days in [5, 20, 200] {
            let before = track(&[(24 * days, "DELIVERED")], Some((24 * days, "DELIVERED")));
            let seen = tracking(&before, hours_ago(24 * 3), now());
            assert_eq!(seen, Tracking::default(), "{days} days ago");
        }
        let both = track(&[(24 * 20, "DELIVERED"), (5, "AT_PICKUP")], None);
        let seen = tracking(&both, hours_ago(24 * 3), now());
        assert_eq!(seen.handed_over_at, Some(hours_ago(5)));
        assert_eq!(seen.delivered_at, None);
    }

    #[test]
    fn a_scan_without_a_time_counts_only_beside_scans_that_are_all_ours() {
        let untimed = |mut track: Track| {
            let status = serde_json::json!({ "status": { "code": "DELIVERED" } });
            track.last_event = Some(serde_json::from_value(status).unwrap());
            tracking(&track, hours_ago(24 * 3), now()).delivered_at
        };
        assert_eq!(untimed(track(&[], None)), None);
        assert_eq!(untimed(track(&[(24 * 20, "IN_TRANSIT")], None)), None);
        let both = track(&[(24 * 20, "IN_TRANSIT"), (5, "AT_PICKUP")], None);
        assert_eq!(untimed(both), None);
        assert_eq!(untimed(track(&[(5, "AT_PICKUP")], None)), Some(now()));
    }
}
