use super::*;

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
fn a_history_that_skips_a_payment_is_damaged() {
    let damaged = Order::fold(None, &[ordered(), shipped()]).expect_err("no order ships unpaid");
    assert_eq!(
        damaged.to_string(),
        "OrderShipped cannot follow Pending in the history of this order"
    );
}

#[test]
fn each_event_follows_exactly_what_it_may() {
    let start = |events: &[OrderEvent]| [&[ordered()], events].concat();
    let to_shipped = [paid(), shipped()];
    let stages = [
        ("nothing", vec![], "O.........."),
        ("placed", start(&[]), ".PYR...c.C."),
        ("pending", start(&[pending()]), "..YR...c.C."),
        (
            "pending, canceling",
            start(&[pending(), cancel_requested()]),
            "..Y.....rC.",
        ),
        ("rejected", start(&[rejected()]), "..........."),
        ("paid", start(&[paid()]), "....S..c.C."),
        (
            "paid, canceling",
            start(&[paid(), cancel_requested()]),
            "....S...rC.",
        ),
        ("shipped", start(&to_shipped), ".....H.c.C."),
        (
            "handed over",
            start(&[&to_shipped[..], &[handed_over()]].concat()),
            "......D....",
        ),
        (
            "delivered",
            start(&[&to_shipped[..], &[handed_over(), delivered()]].concat()),
            "...........",
        ),
        ("canceled", start(&[paid(), canceled()]), "..........B"),
        (
            "canceled no more",
            start(&[paid(), canceled(), cancel_taken_back()]),
            "......D....",
        ),
    ];
    let events = [
        ('O', ordered()),
        ('P', pending()),
        ('Y', paid()),
        ('R', rejected()),
        ('S', shipped()),
        ('H', handed_over()),
        ('D', delivered()),
        ('c', cancel_requested()),
        ('r', cancel_refused()),
        ('C', canceled()),
        ('B', cancel_taken_back()),
    ];
    for (stage, history, expected) in stages {
        let state = given(history).state();
        let fits = |event: &OrderEvent| Order::evolve(state.clone(), event).is_ok();
        let found: String = events
            .iter()
            .map(|(letter, event)| if fits(event) { *letter } else { '.' })
            .collect();
        assert_eq!(found, expected, "{stage}");
    }
}
