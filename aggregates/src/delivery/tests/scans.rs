//! What a carrier sees between the van and the door.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;

fn see(scans: Scans) -> Command {
    command(Action::RecordScans(scans))
}

fn early() -> DateTime<Utc> {
    now_in_events() - TimeDelta::hours(2)
}

fn in_transit() -> DeliveryEvent {
    event!(InTransit {
        scanned_at: early()
    })
}

fn troubled(at: DateTime<Utc>) -> DeliveryEvent {
    event!(TrackingException {
        reason: "Nobody at home.".to_owned(),
        scanned_at: at,
    })
}

fn moving() -> Scans {
    Scans {
        in_transit_at: Some(early()),
        ..Scans::default()
    }
}

#[test]
fn each_scan_is_recorded_once() {
    given(vec![shipped("1"), handed_over()])
        .when(see(moving()))
        .then(vec![in_transit()]);
    given(vec![shipped("1"), handed_over(), in_transit()])
        .when(see(moving()))
        .then_nothing();
}

#[test]
fn all_that_was_missed_is_recorded_at_once() {
    let all = Scans {
        in_transit_at: Some(early()),
        out_for_delivery_at: Some(now_in_events()),
        trouble: Some((early(), "Nobody at home.".to_owned())),
    };
    let out = event!(OutForDelivery {
        scanned_at: now_in_events()
    });
    given(vec![shipped("1"), handed_over()])
        .when(see(all))
        .then(vec![in_transit(), troubled(early()), out]);
}

#[test]
fn new_trouble_is_news_and_old_trouble_is_not() {
    let trouble = |at| Scans {
        trouble: Some((at, "Nobody at home.".to_owned())),
        ..Scans::default()
    };
    let later = early() + TimeDelta::hours(1);
    let history = vec![shipped("1"), handed_over(), troubled(early())];
    given(history.clone())
        .when(see(trouble(later)))
        .then(vec![troubled(later)]);
    given(history).when(see(trouble(early()))).then_nothing();
}

#[test]
fn scans_of_a_parcel_that_is_not_on_its_way_say_nothing() {
    for history in [
        vec![shipped("1")],
        vec![shipped("1"), held()],
        vec![shipped("1"), handed_over(), delivered()],
    ] {
        let state = given(history.clone()).state().expect("a delivery");
        assert!(!state.learns(&moving()));
        given(history).when(see(moving())).then_nothing();
    }
}
