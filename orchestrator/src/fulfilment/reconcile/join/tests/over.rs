//! Orders that are over, or should be: what a person stated, what is still kept, and what went back without anybody noticing.

use aggregates::order;
use aggregates::saga::{CauseKind, SagaRested, StepParked};
use chrono::TimeDelta;

use super::super::*;
use super::given::*;
use crate::fulfilment::reconcile::finding::{Kind, Remedy, Safety};
use crate::providers::ports::Direction;
use crate::saga::plan::PIVOT_PASSED;

#[test]
fn a_charge_that_a_person_stated_under_another_name_is_not_given_back_unasked() {
    let by_another_name = [(Kind::ProviderOnly, "charge-by-another-name", Safety::Person)];
    let stated = || Given::paid().stated(PAY);
    assert_eq!(
        found(stated(), vec![charged("pay_9")], vec![]),
        by_another_name
    );
    let back = stated().canceled().refunded().stated(REFUND).unwound();
    assert_eq!(found(back, vec![charged("pay_9")], vec![]), by_another_name);
    // Where the provider knows the one that was stated, the other one is a second one.
    let both = vec![charged("pay_1"), charged("pay_9")];
    let second = [(Kind::ProviderOnly, "second-charge", Safety::Automatic)];
    assert_eq!(found(stated(), both, vec![]), second);
}

#[test]
fn money_that_is_kept_of_an_order_that_is_over_is_for_a_person() {
    let kept = || Given::paid().canceled();
    let expected = [(Kind::StateMismatch, "canceled-and-kept", Safety::Person)];
    assert_eq!(
        found(kept().unwound(), vec![charged("pay_1")], vec![]),
        expected
    );
    // The provider's books need not reach back to the charge.
    let mut old = kept().unwound();
    old.inside.facts.payment.as_mut().unwrap().charges[0].at = noon() - TimeDelta::days(9);
    assert_eq!(found(old, vec![], vec![]), expected);
    assert_eq!(found(kept(), vec![charged("pay_1")], vec![]), NOTHING);
    let gone = kept().done(HANDOVER).stated(HANDOVER).unwound();
    assert_eq!(found(gone, vec![charged("pay_1")], vec![]), NOTHING);
}

#[test]
fn a_refund_on_record_of_an_order_that_goes_on_is_followed_by_its_cancel() {
    let outside = Outside {
        money: vec![charged("pay_1"), returned("pay_1", PRICE.amount)],
        parcels: vec![],
    };
    let given = Given::paid().refunded();
    let findings = compare(&ID.to_string(), Some(&given.inside), &outside, &window());
    let refund_ref = "back_1".to_owned();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(
        (findings[0].code, findings[0].fix, &findings[0].remedy),
        (
            "refunded-outside",
            Safety::Automatic,
            &Remedy::ImportRefund { refund_ref }
        )
    );
    for left in [
        Given::paid().done(HANDOVER).refunded(),
        Given::paid().done(HANDOVER).refunded().completed(),
    ] {
        let expected = [(Kind::StateMismatch, "refunded-and-shipped", Safety::Person)];
        assert_eq!(found(left, outside.money.clone(), vec![]), expected);
    }
}

#[test]
fn a_refund_of_a_sale_that_a_person_let_stand_is_for_a_person() {
    let gone = || Given::paid().canceled().done(HANDOVER).stated(HANDOVER);
    let stands = |given: Given| {
        given.order(order::Action::TakeCancelBack {
            code: "scan-after-hold".into(),
            reason: "the customer has it".into(),
        })
    };
    let back = vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    let expected = [(Kind::StateMismatch, "refunded-and-shipped", Safety::Person)];
    let given = stands(gone()).refunded().unwound();
    assert_eq!(found(given, back.clone(), vec![]), expected);
    // Who found the parcel gone after its money had gone back has decided on both.
    let given = gone().refunded().unwound();
    assert_eq!(found(given, back, vec![]), NOTHING);
}

/// The refund was put on record, and whoever was to tell of both went away before they did.
#[test]
fn a_refund_of_a_canceled_parcel_that_had_left_is_for_a_person() {
    let back = || vec![charged("pay_1"), returned("pay_1", PRICE.amount)];
    let left = |hours| {
        let parked = StepParked {
            step: HANDOVER.to_owned(),
            code: PIVOT_PASSED.to_owned(),
            reason: "it left".to_owned(),
            at_stake: None,
            suggestion: String::new(),
            at: noon() - TimeDelta::hours(hours),
        };
        let canceled = Given::paid().canceled();
        canceled.done(HANDOVER).saga(parked).refunded()
    };
    let rested = |given: Given| given.saga(SagaRested { at: noon() });
    let expected = [(Kind::StateMismatch, "refunded-and-shipped", Safety::Person)];
    assert_eq!(found(rested(left(2)), back(), vec![]), expected);
    // The money had gone back an hour before noon: who has the parcel in hand knows of both.
    assert_eq!(found(rested(left(0)), back(), vec![]), NOTHING);
    let stated = rested(left(2).stated(HANDOVER));
    assert_eq!(found(stated, back(), vec![]), NOTHING);
}

#[test]
fn a_charge_of_another_amount_is_reported_while_the_payment_is_still_open() {
    let other = || vec![money(Direction::Charged, "pay_1", "pay_1", 1)];
    let expected = [(
        Kind::AmountMismatch,
        "charge-of-another-amount",
        Safety::Person,
    )];
    assert_eq!(found(Given::placed(), other(), vec![]), expected);
    let back = [other(), vec![returned("pay_1", 1)]].concat();
    assert_eq!(found(Given::placed(), back, vec![]), NOTHING);
}

#[test]
fn a_second_charge_goes_back_while_its_order_is_still_being_undone() {
    let both = vec![charged("pay_1"), charged("pay_2")];
    let second = [(Kind::ProviderOnly, "second-charge", Safety::Automatic)];
    let undone = [
        Given::paid().unwinding(CauseKind::Cancel, None),
        Given::paid().canceled(),
        Given::paid().canceled().refunded(),
    ];
    for given in undone {
        assert_eq!(found(given, both.clone(), vec![]), second);
    }
}

#[test]
fn a_charge_that_is_nobodys_is_seen_again_until_its_order_is_over() {
    let undecided = |given: Given, money: Vec<MoneyRecord>, before: DateTime<Utc>| {
        let parcels = vec![];
        is_undecided(&given.inside, &Outside { money, parcels }, before)
    };
    let late = || vec![charged("pay_1")];
    let canceled = || Given::placed().canceled();
    assert!(undecided(canceled(), late(), noon()));
    assert!(undecided(Given::placed(), late(), noon()));
    // The next comparison sees it in any case, it went back, it is on the books, or it is judged.
    let then = late()[0].at;
    assert!(!undecided(canceled(), late(), then));
    let back = [late(), vec![returned("pay_1", PRICE.amount)]].concat();
    assert!(!undecided(canceled(), back, noon()));
    assert!(!undecided(Given::paid().canceled(), late(), noon()));
    assert!(!undecided(canceled().unwound(), late(), noon()));
}
