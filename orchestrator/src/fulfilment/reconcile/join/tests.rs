//! Every kind of finding, and everything that is none.

mod given;
mod over;
mod parcels;

use aggregates::payment;
use aggregates::saga::State;
use chrono::TimeDelta;

use super::*;
use crate::fulfilment::reconcile::finding::{Kind, Remedy, Safety};
use crate::providers::ports::{Direction, ParcelState};
use given::*;

#[test]
fn what_both_have_is_no_finding() {
    assert_eq!(
        found(Given::paid(), vec![charged("pay_1")], vec![]),
        NOTHING
    );
    let parcels = vec![parcel("1", ParcelState::Accepted)];
    assert_eq!(
        found(Given::shipped(), vec![charged("pay_1")], parcels),
        NOTHING
    );
    let back = vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    let canceled = Given::paid().canceled().refunded().unwound();
    assert_eq!(found(canceled, back, vec![]), NOTHING);
}

#[test]
fn what_is_under_way_is_no_finding() {
    // The charge is in the provider's books before its answer is in ours.
    assert_eq!(
        found(Given::placed(), vec![charged("pay_1")], vec![]),
        NOTHING
    );
    // The watch for a late charge is on.
    assert_eq!(
        found(Given::rejected(), vec![charged("pay_1")], vec![]),
        NOTHING
    );
    // The refund was made, and its answer is on its way.
    let back = vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    assert_eq!(found(Given::paid().canceled(), back, vec![]), NOTHING);
    // The carrier has accepted, and its answer is on its way.
    let parcels = vec![parcel("1", ParcelState::Accepted)];
    assert_eq!(
        found(Given::paid(), vec![charged("pay_1")], parcels),
        NOTHING
    );
}

#[test]
fn a_second_charge_of_an_order_goes_back_and_the_first_is_kept() {
    let records = vec![charged("pay_1"), charged("pay_2")];
    let expected = [(Kind::ProviderOnly, "second-charge", Safety::Automatic)];
    assert_eq!(
        found(
            Given::shipped(),
            records.clone(),
            vec![parcel("1", ParcelState::Accepted)]
        ),
        expected
    );
    let outside = Outside {
        money: records,
        parcels: vec![],
    };
    let given = Given::paid();
    let findings = compare(&ID.to_string(), Some(&given.inside), &outside, &window());
    assert_eq!(findings[0].reference, "pay_2");
    assert_eq!(findings[0].at_stake, Some(PRICE));
    assert!(matches!(findings[0].remedy, Remedy::ReturnCharge { .. }));
}

#[test]
fn a_second_charge_that_is_going_back_or_went_back_is_no_finding() {
    let excess = payment::Action::RecordExcess {
        money: PRICE,
        provider_ref: "pay_2".into(),
    };
    let records = vec![charged("pay_1"), charged("pay_2")];
    let known = Given::paid().payment(excess);
    assert_eq!(found(known, records.clone(), vec![]), NOTHING);
    let back = [records, vec![returned("pay_2", PRICE.amount)]].concat();
    assert_eq!(found(Given::paid(), back, vec![]), NOTHING);
}

#[test]
fn a_second_charge_that_nobody_gives_back_any_more_is_for_a_person() {
    let excess = payment::Action::RecordExcess {
        money: PRICE,
        provider_ref: "pay_2".into(),
    };
    let given = |gone: &str| {
        let mut given = Given::paid().payment(excess.clone());
        given.inside.given_up.push(gone.into());
        given
    };
    let records = vec![charged("pay_1"), charged("pay_2")];
    let expected = [(Kind::StateMismatch, "return-given-up", Safety::Person)];
    assert_eq!(found(given("pay_2"), records.clone(), vec![]), expected);
    assert_eq!(found(given("pay_3"), records.clone(), vec![]), NOTHING);
    let back = [records, vec![returned("pay_2", PRICE.amount)]].concat();
    assert_eq!(found(given("pay_2"), back, vec![]), NOTHING);
}

#[test]
fn a_charge_of_a_rejected_order_whose_watch_is_over_is_adopted_and_goes_back() {
    let expected = [(Kind::ProviderOnly, "late-charge", Safety::Automatic)];
    assert_eq!(
        found(Given::rejected().unwound(), vec![charged("pay_1")], vec![]),
        expected
    );
    let canceled = Given::placed().canceled().unwound();
    assert_eq!(found(canceled, vec![charged("pay_1")], vec![]), expected);
}

#[test]
fn the_charge_that_an_order_has_given_up_asking_for_has_it_ask_again() {
    let expected = [(Kind::ProviderOnly, "charge-unseen", Safety::Automatic)];
    assert_eq!(
        found(Given::given_up(), vec![charged("pay_1")], vec![]),
        expected
    );
    let outside = Outside {
        money: vec![charged("pay_1")],
        parcels: vec![],
    };
    let given = Given::given_up();
    let findings = compare(&ID.to_string(), Some(&given.inside), &outside, &window());
    assert_eq!(findings[0].remedy, Remedy::AskAgain);
    // What went back again pays for nothing, and another amount is for a person.
    let back = vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    assert_eq!(found(Given::given_up(), back, vec![]), NOTHING);
    let other = vec![money(Direction::Charged, "pay_1", "pay_1", 100)];
    let expected = [(
        Kind::AmountMismatch,
        "charge-of-another-amount",
        Safety::Person,
    )];
    assert_eq!(found(Given::given_up(), other, vec![]), expected);
}

#[test]
fn a_charge_after_a_refund_goes_back_as_well() {
    let records = vec![
        charged("pay_1"),
        returned("pay_1", PRICE.amount),
        charged("pay_2"),
    ];
    let given = Given::paid().canceled().refunded().unwound();
    let expected = [(Kind::ProviderOnly, "second-charge", Safety::Automatic)];
    assert_eq!(found(given, records, vec![]), expected);
}

#[test]
fn a_charge_of_an_unknown_order_goes_back_only_when_somebody_says_so_and_no_parcel_left() {
    let id = ID.to_string();
    let outside = |parcels| Outside {
        money: vec![charged("pay_1")],
        parcels,
    };
    let lost = compare(&id, None, &outside(vec![]), &window());
    assert_eq!(
        (lost[0].code, lost[0].fix),
        ("unknown-order", Safety::OnRequest)
    );
    let sent = compare(
        &id,
        None,
        &outside(vec![parcel("1", ParcelState::Delivered)]),
        &window(),
    );
    let brief: Vec<_> = sent.iter().map(|found| (found.code, found.fix)).collect();
    let expected = [
        ("unknown-order", Safety::Person),
        ("parcel-of-unknown-order", Safety::Person),
    ];
    assert_eq!(brief, expected);
    let foreign = compare("another shop's", None, &outside(vec![]), &window());
    assert_eq!(foreign[0].fix, Safety::Person);
}

#[test]
fn a_charge_that_the_provider_does_not_know_is_for_a_person() {
    let expected = [(Kind::LogOnly, "charge-missing", Safety::Person)];
    assert_eq!(found(Given::paid(), vec![], vec![]), expected);
    assert_eq!(found(Given::paid().stated(PAY), vec![], vec![]), NOTHING);
}

#[test]
fn what_the_records_do_not_reach_is_not_missed() {
    let mut old = Given::paid();
    let payment = old.inside.facts.payment.as_mut().unwrap();
    payment.charges[0].at = noon() - TimeDelta::days(9);
    assert_eq!(found(old, vec![], vec![]), NOTHING);
    let mut fresh = Given::paid();
    let payment = fresh.inside.facts.payment.as_mut().unwrap();
    payment.charges[0].at = noon() + TimeDelta::seconds(1);
    assert_eq!(found(fresh, vec![], vec![]), NOTHING);
}

#[test]
fn other_amounts_are_for_a_person() {
    let less = vec![money(Direction::Charged, "pay_1", "pay_1", 32_000)];
    let expected = [(Kind::AmountMismatch, "charge-differs", Safety::Person)];
    assert_eq!(found(Given::paid(), less, vec![]), expected);
    let partly = vec![charged("pay_1"), returned("pay_1", 1_000)];
    let expected = [(Kind::AmountMismatch, "partly-refunded", Safety::Person)];
    assert_eq!(found(Given::paid(), partly, vec![]), expected);
    let canceled = || Given::paid().canceled().refunded().unwound();
    let short = vec![charged("pay_1"), returned("pay_1", 1_000)];
    let expected = [(Kind::AmountMismatch, "refund-differs", Safety::Person)];
    assert_eq!(found(canceled(), short, vec![]), expected);
    let twice = vec![
        charged("pay_1"),
        returned("pay_1", 33_000),
        returned("pay_1", 33_000),
    ];
    let expected = [(Kind::AmountMismatch, "returned-too-much", Safety::Person)];
    assert_eq!(found(canceled(), twice, vec![]), expected);
}

#[test]
fn a_refund_made_at_the_provider_is_imported() {
    let back = vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    let outside = Outside {
        money: back,
        parcels: vec![parcel("1", ParcelState::Accepted)],
    };
    let given = Given::shipped();
    let findings = compare(&ID.to_string(), Some(&given.inside), &outside, &window());
    let [finding] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(
        (finding.kind, finding.code),
        (Kind::StateMismatch, "refunded-outside")
    );
    let refund_ref = "back_1".to_owned();
    assert_eq!(finding.remedy, Remedy::ImportRefund { refund_ref });
}

#[test]
fn a_refund_of_an_old_charge_is_seen_without_the_charge() {
    let mut given = Given::paid();
    given.inside.facts.payment.as_mut().unwrap().charges[0].at = noon() - TimeDelta::days(9);
    let expected = [(Kind::StateMismatch, "refunded-outside", Safety::Automatic)];
    assert_eq!(
        found(given, vec![returned("pay_1", PRICE.amount)], vec![]),
        expected
    );
}

#[test]
fn a_refund_that_the_provider_does_not_know_is_for_a_person() {
    let canceled = Given::paid().canceled().refunded().unwound();
    let expected = [(Kind::LogOnly, "refund-missing", Safety::Person)];
    assert_eq!(found(canceled, vec![charged("pay_1")], vec![]), expected);
}

#[test]
fn books_that_could_not_be_read_say_nothing() {
    let unread = Window {
        money: false,
        parcels: false,
        ..window()
    };
    let given = Given::shipped().completed();
    let findings = compare(
        &ID.to_string(),
        Some(&given.inside),
        &Outside::default(),
        &unread,
    );
    assert_eq!(findings, []);
}

#[test]
fn a_default_state_is_of_a_saga_that_has_not_begun() {
    assert!(money_moves(&State::default()) && parcel_moves(&State::default()));
}
