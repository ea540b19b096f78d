use uuid::Uuid;

use super::*;
use crate::money::Currency;
use crate::testing::{Given, now, now_in_events};

const ID: Uuid = Uuid::from_u128(7);
const PRICE: Money = Money::new(33_000, Currency::KRW);

fn given(events: Vec<PaymentEvent>) -> Given<Payment> {
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

fn charge(money: Money, provider_ref: &str) -> Command {
    command(Action::RecordCharge {
        money,
        provider_ref: provider_ref.to_owned(),
    })
}

fn decline() -> Command {
    command(Action::RecordDecline {
        code: "limit".to_owned(),
        reason: "Over the limit.".to_owned(),
    })
}

fn refund(money: Money, refund_ref: &str) -> Command {
    let (provider_ref, refund_ref) = ("pay_1".to_owned(), refund_ref.to_owned());
    command(Action::RecordRefund {
        money,
        provider_ref,
        refund_ref,
    })
}

fn refuse_refund(code: &str) -> Command {
    command(Action::RecordRefundRefusal {
        code: code.to_owned(),
        reason: "Too old.".to_owned(),
    })
}

/// An event of this payment with the fields that matter to a test.
macro_rules! event {
    ($event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        PaymentEvent::from($event {
            order_id: ID,
            customer_id: "33".to_owned(),
            occurred_at: now_in_events(),
            $($field: $value),*
        })
    };
}

// After the macro, so that it knows it.
mod excess;

fn paid(provider_ref: &str) -> PaymentEvent {
    event!(Paid {
        amount: PRICE.amount,
        currency: PRICE.currency,
        provider_ref: provider_ref.to_owned()
    })
}

fn declined() -> PaymentEvent {
    event!(PaymentDeclined {
        code: "limit".to_owned(),
        reason: "Over the limit.".to_owned()
    })
}

fn pay_canceled() -> PaymentEvent {
    event!(PayCanceled {
        amount: PRICE.amount,
        currency: PRICE.currency,
        provider_ref: "pay_1".to_owned(),
        refund_ref: "back_1".to_owned(),
    })
}

fn refund_refused(code: &str) -> PaymentEvent {
    event!(RefundRefused {
        code: code.to_owned(),
        reason: "Too old.".to_owned(),
        amount: PRICE.amount,
        currency: PRICE.currency,
    })
}

#[test]
fn a_charge_is_recorded_once_per_reference() {
    given(vec![])
        .when(charge(PRICE, "pay_1"))
        .then(vec![paid("pay_1")]);
}

#[test]
fn a_second_charge_is_refused_while_one_is_kept() {
    let kept = "pay_1".to_owned();
    given(vec![paid("pay_1")])
        .when(charge(PRICE, "pay_2"))
        .then_refused(Rejection::AnotherChargeKept { kept });
}

#[test]
fn the_same_charge_with_another_amount_is_refused() {
    let more = Money::new(33_001, Currency::KRW);
    given(vec![paid("pay_1")])
        .when(charge(more, "pay_1"))
        .then_refused(Rejection::AmountDiffers { recorded: PRICE });
}

#[test]
fn a_charge_of_nothing_is_no_charge() {
    for amount in [0, -1] {
        let none = Money::new(amount, Currency::KRW);
        given(vec![])
            .when(charge(none, "pay_1"))
            .then_refused(Rejection::NotPositive(none));
    }
}

#[test]
fn a_decline_is_recorded_once_and_not_after_a_charge() {
    given(vec![]).when(decline()).then(vec![declined()]);
    given(vec![paid("pay_1")])
        .when(decline())
        .then_refused(Rejection::AlreadyCharged);
}

#[test]
fn a_charge_found_after_a_decline_is_recorded_so_that_it_can_go_back() {
    given(vec![declined()])
        .when(charge(PRICE, "pay_1"))
        .then(vec![paid("pay_1")]);
    given(vec![declined(), paid("pay_1")])
        .when(refund(PRICE, "back_1"))
        .then(vec![pay_canceled()]);
}

#[test]
fn a_late_second_charge_is_recorded_once_the_first_went_back() {
    let history = vec![paid("pay_1"), pay_canceled()];
    given(history.clone())
        .when(charge(PRICE, "pay_2"))
        .then(vec![paid("pay_2")]);
    given(history).when(charge(PRICE, "pay_1")).then_nothing();
}

#[test]
fn a_charge_goes_back_once() {
    given(vec![paid("pay_1")])
        .when(refund(PRICE, "back_1"))
        .then(vec![pay_canceled()]);
    let recorded = "back_1".to_owned();
    let history = vec![paid("pay_1"), pay_canceled()];
    given(history)
        .when(refund(PRICE, "back_2"))
        .then_refused(Rejection::AlreadyRefunded { recorded });
}

#[test]
fn a_charge_goes_back_whole() {
    for other in [
        Money::new(33_001, Currency::KRW),
        Money::new(32_999, Currency::KRW),
        Money::new(33_000, Currency::USD),
    ] {
        let charged = PRICE;
        given(vec![paid("pay_1")])
            .when(refund(other, "back_1"))
            .then_refused(Rejection::NotTheCharge { charged });
    }
}

#[test]
fn nothing_goes_back_that_was_never_charged() {
    given(vec![])
        .when(refund(PRICE, "back_1"))
        .then_refused(Rejection::NothingCharged);
    given(vec![declined()])
        .when(refund(PRICE, "back_1"))
        .then_refused(Rejection::NothingCharged);
    given(vec![])
        .when(refuse_refund("old"))
        .then_refused(Rejection::NothingCharged);
}

#[test]
fn a_refused_refund_says_what_is_kept_and_can_still_succeed() {
    given(vec![paid("pay_1")])
        .when(refuse_refund("old"))
        .then(vec![refund_refused("old")]);
    let history = vec![paid("pay_1"), refund_refused("old")];
    given(history.clone())
        .when(refuse_refund("closed"))
        .then(vec![refund_refused("closed")]);
    given(history.clone())
        .when(refund(PRICE, "back_1"))
        .then(vec![pay_canceled()]);
    let after = given([history, vec![pay_canceled()]].concat())
        .state()
        .expect("a payment");
    assert_eq!(after.refund_refusal, None);
}

#[test]
fn the_sums_and_the_status_follow_the_money() {
    let payment = |events| given(events).state().expect("a payment");
    let kept = payment(vec![paid("pay_1")]);
    assert_eq!(
        (kept.charged(), kept.refunded(), kept.status()),
        (33_000, 0, "Paid")
    );
    let back = payment(vec![paid("pay_1"), pay_canceled()]);
    assert_eq!(
        (back.charged(), back.refunded(), back.status()),
        (33_000, 33_000, "PayCanceled")
    );
    assert_eq!(payment(vec![declined()]).status(), "PaymentDeclined");
}

#[test]
fn a_history_with_two_kept_charges_is_damaged() {
    let damaged =
        Payment::fold(None, &[paid("pay_1"), paid("pay_2")]).expect_err("one charge is kept");
    assert_eq!((damaged.state, damaged.event), ("Paid", "Paid"));
}
