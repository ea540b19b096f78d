use uuid::Uuid;

use super::*;
use crate::personal::{Personal, Sealed};
use crate::testing::{Given, now, now_in_events};

const ID: Uuid = Uuid::from_u128(7);

fn given(events: Vec<OrderEvent>) -> Given<Order> {
    crate::testing::given(events)
}

fn command(action: Action) -> Command {
    Command { at: now(), action }
}

fn place(command_hash: &str) -> Command {
    let line = |book_id: &str, qty, unit_price| DraftLine {
        book_id: book_id.to_owned(),
        qty,
        unit_price,
        title: None,
    };
    let draft = OrderDraft {
        customer_id: "33".to_owned(),
        lines: vec![line("9788937460449", 2, 15_000), line("gift", 1, 0)],
        shipping_fee: 3_000,
        currency: "KRW".to_owned(),
        payment: Some(super::Payment {
            method: "card".to_owned(),
            token: Personal::from("tok_1"),
        }),
        contact: None,
        address: None,
        placed_at: None,
        external_id: Some("A-1".to_owned()),
        short_form: false,
    };
    let token = Sealed::from_ciphertext("c2VhbGVk".to_owned());
    let payment = Some(SealedPayment {
        method: "card".to_owned(),
        token,
    });
    command(Action::Place(Box::new(Place {
        order_id: ID,
        order: draft.check().expect("a good order"),
        sealed: SealedDetails {
            payment,
            ..SealedDetails::default()
        },
        principal: "shop".to_owned(),
        command_hash: command_hash.to_owned(),
        source: None,
    })))
}

fn lines() -> Vec<Line> {
    vec![
        Line {
            book_id: "9788937460449".to_owned(),
            qty: 2,
            unit_price: 15_000,
            title: None,
        },
        Line {
            book_id: "gift".to_owned(),
            qty: 1,
            unit_price: 0,
            title: None,
        },
    ]
}

fn ordered() -> OrderEvent {
    Ordered {
        order_id: ID,
        customer_id: "33".to_owned(),
        occurred_at: now_in_events(),
        book_id: "9788937460449".to_owned(),
        qty: 2,
        lines: lines(),
        shipping_fee: 3_000,
        currency: crate::money::Currency::KRW,
        total: 33_000,
        payment: Some(SealedPayment {
            method: "card".to_owned(),
            token: Sealed::from_ciphertext("c2VhbGVk".to_owned()),
        }),
        contact: None,
        address: None,
        placed_at: None,
        external_id: Some("A-1".to_owned()),
        principal: "shop".to_owned(),
        command_hash: "hash".to_owned(),
        source: None,
    }
    .into()
}

/// An event of this order with the fields that matter to a test.
macro_rules! event {
    ($event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        OrderEvent::from($event {
            order_id: ID,
            customer_id: "33".to_owned(),
            occurred_at: now_in_events(),
            $($field: $value),*
        })
    };
}

fn pending() -> OrderEvent {
    event!(OrderPending {})
}

fn paid() -> OrderEvent {
    let currency = crate::money::Currency::KRW;
    event!(OrderPaid {
        lines: lines(),
        total: 33_000,
        currency: currency,
        payment_ref: "pay_1".to_owned()
    })
}

fn rejected() -> OrderEvent {
    event!(OrderRejected {
        code: "payment-declined".to_owned(),
        reason: "The card was declined.".to_owned()
    })
}

fn shipped() -> OrderEvent {
    event!(OrderShipped {
        carrier: "CJ".to_owned(),
        waybill: "1234".to_owned()
    })
}

fn handed_over() -> OrderEvent {
    event!(OrderHandedOver {})
}

fn delivered() -> OrderEvent {
    event!(OrderDelivered {})
}

fn cancel_requested() -> OrderEvent {
    event!(OrderCancelRequested {
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned()
    })
}

fn cancel_refused() -> OrderEvent {
    event!(OrderCancelRefused {
        code: "handed-over".to_owned(),
        reason: "It has left.".to_owned()
    })
}

fn canceled() -> OrderEvent {
    event!(OrderCanceled {
        book_id: "9788937460449".to_owned(),
        qty: 2,
        lines: lines(),
        total: 33_000,
        currency: crate::money::Currency::KRW,
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned(),
    })
}

fn confirm_payment() -> Command {
    command(Action::ConfirmPayment {
        payment_ref: "pay_1".to_owned(),
    })
}

fn reject() -> Command {
    let (code, reason) = (
        "payment-declined".to_owned(),
        "The card was declined.".to_owned(),
    );
    command(Action::Reject { code, reason })
}

fn ship() -> Command {
    command(Action::RecordShipment {
        carrier: "CJ".to_owned(),
        waybill: "1234".to_owned(),
    })
}

fn request_cancel() -> Command {
    command(Action::RequestCancel {
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned(),
    })
}

fn refuse_cancel() -> Command {
    let (code, reason) = ("handed-over".to_owned(), "It has left.".to_owned());
    command(Action::RefuseCancel { code, reason })
}

fn cancel() -> Command {
    command(Action::Cancel {
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned(),
    })
}

#[test]
fn placing_records_the_lines_the_total_and_the_seeds_first_line() {
    given(vec![]).when(place("hash")).then(vec![ordered()]);
}

#[test]
fn placing_the_same_command_again_records_nothing_whatever_happened_since() {
    given(vec![ordered(), paid(), shipped()])
        .when(place("hash"))
        .then_nothing();
}

#[test]
fn another_command_under_the_same_key_is_refused() {
    given(vec![ordered()])
        .when(place("other"))
        .then_refused(Rejection::KeyReused);
}

#[test]
fn nothing_can_be_done_to_an_order_that_was_never_placed() {
    for command in [
        confirm_payment(),
        reject(),
        ship(),
        request_cancel(),
        cancel(),
    ] {
        given(vec![])
            .when(command)
            .then_refused(Rejection::Unplaced);
    }
}

#[test]
fn the_first_answer_never_changes() {
    let order = given(vec![ordered(), pending(), paid()])
        .state()
        .expect("an order");
    assert_eq!(order.first_answer, Some(FirstAnswer::Pending));
    given(vec![ordered(), paid()])
        .when(command(Action::MarkPending))
        .then_nothing();
    given(vec![ordered()])
        .when(command(Action::MarkPending))
        .then(vec![pending()]);
}

#[test]
fn a_payment_confirms_the_order_and_repeats_its_lines_and_total() {
    given(vec![ordered()])
        .when(confirm_payment())
        .then(vec![paid()]);
    given(vec![ordered(), pending()])
        .when(confirm_payment())
        .then(vec![paid()]);
}

#[test]
fn a_second_payment_contradicts_the_first() {
    let other = command(Action::ConfirmPayment {
        payment_ref: "pay_2".to_owned(),
    });
    let recorded = "pay_1".to_owned();
    given(vec![ordered(), paid()])
        .when(other)
        .then_refused(Rejection::Contradiction { recorded });
}

#[test]
fn a_late_payment_does_not_revive_a_rejected_or_canceled_order() {
    given(vec![ordered(), rejected()])
        .when(confirm_payment())
        .then_refused(Rejection::AlreadyRejected);
    given(vec![ordered(), pending(), canceled()])
        .when(confirm_payment())
        .then_refused(Rejection::AlreadyCanceled);
}

#[test]
fn an_order_is_rejected_before_its_payment_only() {
    given(vec![ordered()]).when(reject()).then(vec![rejected()]);
    given(vec![ordered(), paid()])
        .when(reject())
        .then_refused(Rejection::AlreadyPaid);
}

#[test]
fn a_decline_while_a_cancel_is_open_leaves_the_end_to_the_cancel() {
    let history = vec![ordered(), pending(), cancel_requested()];
    given(history.clone())
        .when(reject())
        .then_refused(Rejection::CancelOpen);
    given(history).when(cancel()).then(vec![canceled()]);
}

#[test]
fn a_charge_that_arrives_while_a_cancel_is_open_is_recorded_before_the_cancel() {
    let history = vec![ordered(), pending(), cancel_requested()];
    given(history).when(confirm_payment()).then(vec![paid()]);
    given(vec![ordered(), pending(), cancel_requested(), paid()])
        .when(cancel())
        .then(vec![canceled()]);
}

#[test]
fn an_order_ships_after_its_payment_and_once() {
    given(vec![ordered()])
        .when(ship())
        .then_refused(Rejection::TooEarly {
            status: Status::Pending,
        });
    given(vec![ordered(), paid()])
        .when(ship())
        .then(vec![shipped()]);
    let other = command(Action::RecordShipment {
        carrier: "CJ".to_owned(),
        waybill: "9".to_owned(),
    });
    let recorded = "1234".to_owned();
    given(vec![ordered(), paid(), shipped()])
        .when(other)
        .then_refused(Rejection::Contradiction { recorded });
}

#[test]
fn a_scan_before_the_shipment_is_too_early() {
    let scan = command(Action::RecordHandover);
    given(vec![ordered(), paid()])
        .when(scan)
        .then_refused(Rejection::TooEarly {
            status: Status::Paid,
        });
}

#[test]
fn an_arrival_reported_before_the_departure_records_both() {
    let history = vec![ordered(), paid(), shipped()];
    given(history.clone())
        .when(command(Action::RecordHandover))
        .then(vec![handed_over()]);
    given(history)
        .when(command(Action::RecordDelivery))
        .then(vec![handed_over(), delivered()]);
}

#[test]
fn a_request_to_cancel_is_recorded_once() {
    given(vec![ordered(), paid()])
        .when(request_cancel())
        .then(vec![cancel_requested()]);
    given(vec![ordered(), paid(), canceled()])
        .when(request_cancel())
        .then_nothing();
}

#[test]
fn a_cancel_of_an_unanswered_order_answers_pending_first() {
    given(vec![ordered()])
        .when(request_cancel())
        .then(vec![pending(), cancel_requested()]);
    given(vec![ordered()])
        .when(cancel())
        .then(vec![pending(), canceled()]);
}

#[test]
fn a_cancel_is_refused_once_the_parcel_is_handed_over() {
    for end in [vec![], vec![delivered()]] {
        let history = [vec![ordered(), paid(), shipped(), handed_over()], end].concat();
        given(history.clone())
            .when(request_cancel())
            .then_refused(Rejection::PastPointOfNoReturn);
        given(history)
            .when(cancel())
            .then_refused(Rejection::PastPointOfNoReturn);
    }
}

#[test]
fn a_rejected_order_has_nothing_to_cancel() {
    let history = vec![ordered(), rejected()];
    given(history.clone())
        .when(request_cancel())
        .then_refused(Rejection::AlreadyRejected);
    given(history)
        .when(cancel())
        .then_refused(Rejection::AlreadyRejected);
}

#[test]
fn a_refused_cancel_leaves_the_order_as_it_was_and_may_be_asked_for_again() {
    let asked = vec![ordered(), paid(), shipped(), cancel_requested()];
    assert_eq!(
        given(asked.clone())
            .state()
            .expect("an order")
            .shown_status(),
        "Canceling"
    );
    given(asked.clone())
        .when(refuse_cancel())
        .then(vec![cancel_refused()]);
    let refused = [asked, vec![cancel_refused()]].concat();
    assert_eq!(
        given(refused.clone())
            .state()
            .expect("an order")
            .shown_status(),
        "Shipped"
    );
    given(refused)
        .when(request_cancel())
        .then(vec![cancel_requested()]);
}

#[test]
fn a_cancel_that_nobody_asked_for_cannot_be_refused() {
    given(vec![ordered(), paid()])
        .when(refuse_cancel())
        .then_refused(Rejection::NoCancelOpen);
}

#[test]
fn a_parcel_that_leaves_while_a_cancel_is_open_is_a_fact() {
    let history = vec![ordered(), paid(), shipped(), cancel_requested()];
    given(history.clone())
        .when(command(Action::RecordHandover))
        .then(vec![handed_over()]);
    let left = [history, vec![handed_over()]].concat();
    given(left.clone())
        .when(cancel())
        .then_refused(Rejection::PastPointOfNoReturn);
    given(left)
        .when(refuse_cancel())
        .then(vec![cancel_refused()]);
}

#[test]
fn an_order_can_be_canceled_without_a_request() {
    given(vec![ordered(), paid()])
        .when(cancel())
        .then(vec![canceled()]);
}

#[test]
fn a_history_that_skips_a_payment_is_damaged() {
    let damaged = Order::fold(None, &[ordered(), shipped()]).expect_err("no order ships unpaid");
    assert_eq!(
        damaged.to_string(),
        "OrderShipped cannot follow Pending in the history of this order"
    );
}
