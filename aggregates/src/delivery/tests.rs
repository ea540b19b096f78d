use uuid::Uuid;

use super::*;
use crate::money::Currency;
use crate::testing::{Given, now, now_in_events};

const ID: Uuid = Uuid::from_u128(7);
const PRICE: Money = Money::new(33_000, Currency::KRW);

fn given(events: Vec<DeliveryEvent>) -> Given<Delivery> {
    crate::testing::given(events)
}

fn command(action: Action) -> Command {
    Command {
        order_id: ID,
        customer_id: "33".to_owned(),
        at: now(),
        action,
    }
}

fn ship(waybill: &str) -> Command {
    command(Action::RecordShipment {
        carrier: "CJ".to_owned(),
        waybill: waybill.to_owned(),
    })
}

fn refuse() -> Command {
    command(Action::RecordRefusal {
        code: "size".to_owned(),
        reason: "Too big.".to_owned(),
    })
}

fn refuse_hold(code: &str) -> Command {
    command(Action::RecordHoldRefusal {
        code: code.to_owned(),
        reason: "It has left.".to_owned(),
    })
}

fn except() -> Command {
    let (code, reason) = (
        "scan-after-hold".to_owned(),
        "It left all the same.".to_owned(),
    );
    command(Action::RecordException {
        code,
        reason,
        at_stake: PRICE,
    })
}

/// An event of this delivery with the fields that matter to a test.
macro_rules! event {
    ($event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        DeliveryEvent::from($event {
            order_id: ID,
            customer_id: "33".to_owned(),
            occurred_at: now_in_events(),
            $($field: $value),*
        })
    };
}

// After the macro, so that it knows it.
mod scans;

fn shipped(waybill: &str) -> DeliveryEvent {
    event!(Shipped {
        carrier: "CJ".to_owned(),
        waybill: waybill.to_owned()
    })
}

fn refused() -> DeliveryEvent {
    event!(ShipmentRefused {
        code: "size".to_owned(),
        reason: "Too big.".to_owned()
    })
}

fn held() -> DeliveryEvent {
    event!(DeliveryHeld {})
}

fn hold_refused(code: &str) -> DeliveryEvent {
    event!(HoldRefused {
        code: code.to_owned(),
        reason: "It has left.".to_owned()
    })
}

fn handed_over() -> DeliveryEvent {
    event!(HandedOver {})
}

fn delivered() -> DeliveryEvent {
    event!(Delivered {})
}

fn canceled() -> DeliveryEvent {
    event!(DeliveryCanceled {})
}

fn exception() -> DeliveryEvent {
    event!(DeliveryException {
        code: "scan-after-hold".to_owned(),
        reason: "It left all the same.".to_owned(),
        amount: PRICE.amount,
        currency: PRICE.currency,
    })
}

#[test]
fn an_accepted_shipment_is_recorded_once() {
    given(vec![]).when(ship("1")).then(vec![shipped("1")]);
    given(vec![shipped("1"), handed_over()])
        .when(ship("1"))
        .then_nothing();
}

#[test]
fn a_second_parcel_for_the_same_order_is_refused() {
    let recorded = "1".to_owned();
    given(vec![shipped("1")])
        .when(ship("2"))
        .then_refused(Rejection::AnotherParcel { recorded });
}

#[test]
fn a_refused_shipment_may_still_be_accepted_later() {
    given(vec![]).when(refuse()).then(vec![refused()]);
    given(vec![refused()])
        .when(ship("1"))
        .then(vec![shipped("1")]);
    given(vec![shipped("1")])
        .when(refuse())
        .then_refused(Rejection::AlreadyShipped);
}

#[test]
fn a_parcel_is_held_until_it_has_left() {
    let hold = || command(Action::RecordHold);
    given(vec![shipped("1")]).when(hold()).then(vec![held()]);
    given(vec![shipped("1"), handed_over()])
        .when(hold())
        .then_refused(Rejection::PastPointOfNoReturn);
    given(vec![shipped("1"), held(), canceled()])
        .when(hold())
        .then_nothing();
    given(vec![]).when(hold()).then_refused(Rejection::NoParcel);
    given(vec![refused()])
        .when(hold())
        .then_refused(Rejection::NoParcel);
}

#[test]
fn a_refused_hold_leaves_the_parcel_where_it_is() {
    given(vec![shipped("1")])
        .when(refuse_hold("busy"))
        .then(vec![hold_refused("busy")]);
    given(vec![shipped("1"), hold_refused("busy")])
        .when(refuse_hold("left"))
        .then(vec![hold_refused("left")]);
    let state = given(vec![shipped("1"), hold_refused("busy")])
        .state()
        .expect("a delivery");
    assert_eq!(state.status, Status::Shipped);
    given(vec![shipped("1"), held()])
        .when(refuse_hold("busy"))
        .then_refused(Rejection::Held);
}

#[test]
fn a_scan_after_a_granted_hold_is_no_hand_over_but_an_exception() {
    let history = vec![shipped("1"), held()];
    given(history.clone())
        .when(command(Action::RecordHandover))
        .then_refused(Rejection::Held);
    given(history.clone())
        .when(command(Action::RecordDelivery))
        .then_refused(Rejection::Held);
    given(history).when(except()).then(vec![exception()]);
}

#[test]
fn a_held_parcel_has_left_once_the_exception_is_on_record() {
    let history = vec![shipped("1"), held(), exception()];
    given(history.clone())
        .when(command(Action::RecordHandover))
        .then(vec![handed_over()]);
    given(history.clone())
        .when(command(Action::RecordDelivery))
        .then(vec![handed_over(), delivered()]);
    given(history)
        .when(command(Action::RecordTrackingLost))
        .then(vec![event!(TrackingLost {})]);
}

#[test]
fn the_exception_of_one_parcel_does_not_let_the_next_one_leave() {
    let first = [shipped("1"), held(), exception(), canceled()];
    let history = [&first[..], &[shipped("2"), held()]].concat();
    given(history)
        .when(command(Action::RecordHandover))
        .then_refused(Rejection::Held);
}

#[test]
fn a_scan_after_a_cancel_is_no_hand_over_but_an_exception() {
    let history = vec![shipped("1"), held(), canceled()];
    given(history.clone())
        .when(command(Action::RecordHandover))
        .then_refused(Rejection::Canceled);
    given(history).when(except()).then(vec![exception()]);
    given(vec![canceled()])
        .when(except())
        .then_refused(Rejection::NoParcel);
}

#[test]
fn an_arrival_reported_before_the_departure_records_both() {
    given(vec![shipped("1")])
        .when(command(Action::RecordDelivery))
        .then(vec![handed_over(), delivered()]);
    given(vec![shipped("1"), handed_over()])
        .when(command(Action::RecordDelivery))
        .then(vec![delivered()]);
}

#[test]
fn a_delivery_is_called_off_before_the_parcel_has_left() {
    let cancel = || command(Action::RecordCancel);
    given(vec![shipped("1"), held()])
        .when(cancel())
        .then(vec![canceled()]);
    given(vec![shipped("1")])
        .when(cancel())
        .then(vec![canceled()]);
    given(vec![shipped("1"), handed_over()])
        .when(cancel())
        .then_refused(Rejection::PastPointOfNoReturn);
}

#[test]
fn a_delivery_called_off_before_it_began_meets_the_shipment_that_was_on_its_way() {
    given(vec![])
        .when(command(Action::RecordCancel))
        .then(vec![canceled()]);
    given(vec![canceled()])
        .when(refuse())
        .then_refused(Rejection::Canceled);
    given(vec![canceled()])
        .when(ship("1"))
        .then(vec![shipped("1")]);
    given(vec![canceled(), shipped("1")])
        .when(command(Action::RecordCancel))
        .then(vec![canceled()]);
}

#[test]
fn tracking_is_lost_once_and_an_arrival_can_still_follow() {
    let lose = || command(Action::RecordTrackingLost);
    let history = vec![shipped("1"), handed_over()];
    given(history.clone())
        .when(lose())
        .then(vec![event!(TrackingLost {})]);
    let lost = [history, vec![event!(TrackingLost {})]].concat();
    given(lost)
        .when(command(Action::RecordDelivery))
        .then(vec![delivered()]);
    given(vec![shipped("1"), handed_over(), delivered()])
        .when(lose())
        .then_nothing();
    given(vec![shipped("1"), held()])
        .when(lose())
        .then_refused(Rejection::Held);
}

#[test]
fn a_history_in_which_a_held_parcel_leaves_is_damaged() {
    let damaged = Delivery::fold(None, &[shipped("1"), held(), handed_over()])
        .expect_err("a held parcel stays");
    assert_eq!(
        (damaged.state, damaged.event),
        ("DeliveryHeld", "HandedOver")
    );
}

#[test]
fn each_event_follows_exactly_what_it_may() {
    let lost = || event!(TrackingLost {});
    let stages = [
        ("nothing", vec![], "SR....C.."),
        ("refused", vec![refused()], "S.....C.."),
        ("shipped", vec![shipped("1")], "..hrH.CEL"),
        ("shipped, lost", vec![shipped("1"), lost()], "..hrH.CE."),
        ("held", vec![shipped("1"), held()], "......CE."),
        (
            "held, left",
            vec![shipped("1"), held(), exception()],
            "....H.CEL",
        ),
        (
            "handed over",
            vec![shipped("1"), handed_over()],
            "...r.D.EL",
        ),
        (
            "delivered",
            vec![shipped("1"), handed_over(), delivered()],
            "...r...E.",
        ),
        ("canceled", vec![shipped("1"), canceled()], "S......E."),
    ];
    let events = [
        ('S', shipped("2")),
        ('R', refused()),
        ('h', held()),
        ('r', hold_refused("left")),
        ('H', handed_over()),
        ('D', delivered()),
        ('C', canceled()),
        ('E', exception()),
        ('L', lost()),
    ];
    for (stage, history, expected) in stages {
        let state = given(history).state();
        let fits = |event: &DeliveryEvent| Delivery::evolve(state.clone(), event).is_ok();
        let found: String = events
            .iter()
            .map(|(letter, event)| if fits(event) { *letter } else { '.' })
            .collect();
        assert_eq!(found, expected, "{stage}");
    }
}
