use super::*;

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
fn a_cancel_is_taken_back_once_and_the_order_goes_on_as_handed_over() {
    let unpaid = vec![ordered(), pending(), canceled()];
    let canceled = vec![ordered(), paid(), shipped(), canceled()];
    given(canceled.clone())
        .when(take_cancel_back())
        .then(vec![cancel_taken_back()]);
    let stands = [canceled, vec![cancel_taken_back()]].concat();
    let order = given(stands.clone()).state().expect("an order");
    assert_eq!(
        (order.shown_status(), &order.canceled),
        ("HandedOver", &None)
    );
    assert_eq!(
        order.cancel_refusal.expect("a reason").code,
        "scan-after-hold"
    );
    given(stands.clone()).when(take_cancel_back()).then(vec![]);
    given(stands.clone())
        .when(cancel())
        .then_refused(Rejection::PastPointOfNoReturn);
    given(stands)
        .when(command(Action::RecordDelivery))
        .then(vec![delivered()]);
    given(vec![ordered(), rejected()])
        .when(take_cancel_back())
        .then_refused(Rejection::AlreadyRejected);
    given(unpaid)
        .when(take_cancel_back())
        .then_refused(Rejection::TooEarly {
            status: Status::Canceled,
        });
    given(vec![ordered(), paid(), shipped()])
        .when(take_cancel_back())
        .then_refused(Rejection::TooEarly {
            status: Status::Shipped,
        });
}
