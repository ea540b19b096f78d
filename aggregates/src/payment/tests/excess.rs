//! Charges that pay for nothing, and mismatches with the provider's books.

use super::*;

const FINDING: Uuid = Uuid::from_u128(9);

fn exceed(provider_ref: &str) -> Command {
    command(Action::RecordExcess {
        money: PRICE,
        provider_ref: provider_ref.to_owned(),
    })
}

fn give_back(provider_ref: &str, refund_ref: &str) -> Command {
    let (provider_ref, refund_ref) = (provider_ref.to_owned(), refund_ref.to_owned());
    command(Action::RecordExcessReturn {
        provider_ref,
        refund_ref,
    })
}

fn differ() -> Command {
    command(Action::RecordMismatch {
        finding: FINDING,
        code: "charge-missing".to_owned(),
        reason: "It is gone.".to_owned(),
        at_stake: PRICE,
    })
}

fn settle() -> Command {
    command(Action::SettleMismatch {
        finding: FINDING,
        reason: "It was found.".to_owned(),
    })
}

fn exceeded(provider_ref: &str) -> PaymentEvent {
    event!(ExcessCharged {
        amount: PRICE.amount,
        currency: PRICE.currency,
        provider_ref: provider_ref.to_owned(),
    })
}

fn given_back() -> PaymentEvent {
    event!(ExcessReturned {
        amount: PRICE.amount,
        currency: PRICE.currency,
        provider_ref: "pay_2".to_owned(),
        refund_ref: "back_2".to_owned(),
    })
}

fn differed() -> PaymentEvent {
    event!(MismatchFound {
        finding: FINDING,
        code: "charge-missing".to_owned(),
        reason: "It is gone.".to_owned(),
        amount: PRICE.amount,
        currency: PRICE.currency,
    })
}

fn settled() -> PaymentEvent {
    event!(MismatchSettled {
        finding: FINDING,
        reason: "It was found.".to_owned(),
    })
}

#[test]
fn a_second_charge_goes_back_and_the_first_is_kept() {
    given(vec![paid("pay_1")])
        .when(exceed("pay_2"))
        .then(vec![exceeded("pay_2")]);
    let history = vec![paid("pay_1"), exceeded("pay_2")];
    given(history.clone())
        .when(give_back("pay_2", "back_2"))
        .then(vec![given_back()]);
    let after = given([history, vec![given_back()]].concat())
        .state()
        .expect("a payment");
    assert_eq!(
        after.kept().map(|charge| &*charge.provider_ref),
        Some("pay_1")
    );
    assert_eq!((after.charged(), after.refunded()), (66_000, 33_000));
}

#[test]
fn an_excess_charge_pays_for_nothing_and_the_paying_one_is_no_excess() {
    given(vec![paid("pay_1"), exceeded("pay_2")])
        .when(charge(PRICE, "pay_2"))
        .then_refused(Rejection::Excess);
    given(vec![paid("pay_1")])
        .when(exceed("pay_1"))
        .then_refused(Rejection::Owed);
    given(vec![paid("pay_1")])
        .when(give_back("pay_1", "back_2"))
        .then_refused(Rejection::Owed);
}

#[test]
fn the_charge_that_is_owed_goes_back_beside_an_excess_one() {
    given(vec![paid("pay_1"), exceeded("pay_2")])
        .when(refund(PRICE, "back_1"))
        .then(vec![pay_canceled()]);
}

#[test]
fn an_excess_charge_goes_back_once() {
    let recorded = "back_2".to_owned();
    given(vec![exceeded("pay_2"), given_back()])
        .when(give_back("pay_2", "back_3"))
        .then_refused(Rejection::AlreadyRefunded { recorded });
}

#[test]
fn a_mismatch_is_open_until_it_is_settled() {
    given(vec![paid("pay_1")])
        .when(differ())
        .then(vec![differed()]);
    given(vec![paid("pay_1"), differed()])
        .when(settle())
        .then(vec![settled()]);
    let open = given(vec![paid("pay_1"), differed()])
        .state()
        .expect("a payment");
    assert_eq!(open.mismatches.len(), 1);
    let history = vec![paid("pay_1"), differed(), settled()];
    let over = given(history).state().expect("a payment");
    assert_eq!(over.mismatches, []);
}

#[test]
fn without_a_payment_there_is_nothing_to_differ_in() {
    given(vec![])
        .when(differ())
        .then_refused(Rejection::NothingCharged);
}
