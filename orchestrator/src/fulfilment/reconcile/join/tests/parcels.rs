//! Findings about parcels.

use aggregates::delivery;
use chrono::TimeDelta;

use super::given::*;
use crate::fulfilment::reconcile::finding::{Kind, Safety};
use crate::fulfilment::steps::*;
use crate::providers::ports::ParcelState;

#[test]
fn a_parcel_of_a_canceled_order_is_adopted_and_called_off() {
    let canceled = Given::paid().canceled().refunded().unwound();
    let records = vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    let expected = [(Kind::ProviderOnly, "late-parcel", Safety::Automatic)];
    assert_eq!(
        found(canceled, records, vec![parcel("1", ParcelState::Accepted)]),
        expected
    );
}

#[test]
fn parcels_too_many_and_too_few_are_for_a_person() {
    let one = parcel("1", ParcelState::Accepted);
    let two = vec![one, parcel("2", ParcelState::Accepted)];
    let expected = [(Kind::ProviderOnly, "second-parcel", Safety::Person)];
    assert_eq!(
        found(Given::shipped(), vec![charged("pay_1")], two),
        expected
    );
    let expected = [(Kind::LogOnly, "parcel-missing", Safety::Person)];
    assert_eq!(
        found(Given::shipped(), vec![charged("pay_1")], vec![]),
        expected
    );
}

#[test]
fn other_states_of_a_parcel_are_looked_at_again_or_are_for_a_person() {
    let found =
        |given: Given, state| found(given, vec![charged("pay_1")], vec![parcel("1", state)]);
    let gone = [(Kind::StateMismatch, "scan-unseen", Safety::Automatic)];
    assert_eq!(found(Given::shipped(), ParcelState::HandedOver), gone);
    let void = |safety| [(Kind::StateMismatch, "label-voided-outside", safety)];
    let waits = found(Given::shipped(), ParcelState::Canceled);
    assert_eq!(waits, void(Safety::Automatic));
    let away = || {
        Given::shipped()
            .delivery(delivery::Action::RecordHandover)
            .done(HANDOVER)
    };
    assert_eq!(found(away(), ParcelState::Delivered), gone);
    assert_eq!(found(away(), ParcelState::Canceled), void(Safety::Person));
}

#[test]
fn a_parcel_that_left_although_it_was_called_off_is_looked_at_again() {
    let off = || {
        Given::shipped()
            .delivery(delivery::Action::RecordHold)
            .canceled()
            .refunded()
            .delivery(delivery::Action::RecordCancel)
            .unwound()
    };
    let records = vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    let left = vec![parcel("1", ParcelState::Delivered)];
    let expected = [(
        Kind::StateMismatch,
        "left-although-called-off",
        Safety::Automatic,
    )];
    assert_eq!(found(off(), records.clone(), left), expected);
    let live = vec![parcel("1", ParcelState::Accepted)];
    let expected = [(Kind::StateMismatch, "label-still-live", Safety::Person)];
    assert_eq!(found(off(), records.clone(), live.clone()), expected);
    // What we did after the carrier was asked is not in its answer.
    let mut just_now = off();
    just_now.inside.facts.delivery.as_mut().unwrap().updated_at = noon() + TimeDelta::seconds(1);
    assert_eq!(found(just_now, records, live), NOTHING);
}
