use std::time::Duration;

use aggregates::money::Currency;
use chrono::{DateTime, TimeDelta, Utc};
use eventstore::Position;
use projections::customer::{
    CustomerRow, DeliveryFacts, DeliveryStatus, OrderStatus, PaymentFacts, PaymentStatus, Refusal,
    Trouble,
};
use uuid::Uuid;

use super::account::Account;
use super::cancelling::{Cancelling, Outcome};
use super::standing::{next, sentence, troubles};
use crate::fulfilment::limits::Limits;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a moment")
}

/// An order of 33,000 won in that status, with so much paid and given back.
fn row(status: OrderStatus, paid: i64, refunded: i64) -> CustomerRow {
    let payment = PaymentFacts {
        status: PaymentStatus::Paid,
        paid,
        refunded,
        provider_ref: None,
        refund_ref: None,
        refusal: None,
        mismatches: Vec::new(),
        updated_at: noon(),
    };
    CustomerRow {
        order_id: Uuid::nil(),
        customer_id: "33".to_owned(),
        status,
        stage: status,
        lines: Vec::new(),
        shipping_fee: 3_000,
        currency: Currency::KRW,
        total: 33_000,
        rejected: None,
        cancel: None,
        payment: (paid > 0).then_some(payment),
        delivery: None,
        messages: Vec::new(),
        timeline: Vec::new(),
        placed_at: noon(),
        ordered_at: noon(),
        updated_at: noon(),
        position: Position(1),
    }
}

fn with_parcel(row: CustomerRow, status: DeliveryStatus) -> CustomerRow {
    let delivery = DeliveryFacts {
        status,
        carrier: Some("CJ".to_owned()),
        waybill: Some("6001".to_owned()),
        shipped_at: Some(noon()),
        handed_over_at: Some(noon()),
        in_transit_at: None,
        out_for_delivery_at: None,
        delivered_at: None,
        trouble: None,
        refusal: None,
        updated_at: noon(),
    };
    CustomerRow {
        delivery: Some(delivery),
        ..row
    }
}

fn words(row: &CustomerRow) -> String {
    sentence(row, &Account::of(row))
}

#[test]
fn the_balance_is_what_one_side_still_owes_the_other() {
    let balance = |row: &CustomerRow| Account::of(row).balance;
    assert_eq!(balance(&row(OrderStatus::Pending, 0, 0)), -33_000);
    assert_eq!(balance(&row(OrderStatus::Paid, 33_000, 0)), 0);
    assert_eq!(balance(&row(OrderStatus::Canceled, 33_000, 0)), 33_000);
    assert_eq!(balance(&row(OrderStatus::Canceled, 33_000, 33_000)), 0);
    assert_eq!(balance(&row(OrderStatus::Rejected, 0, 0)), 0);
    // Charged twice, and given back after the parcel had left.
    assert_eq!(balance(&row(OrderStatus::Shipped, 66_000, 0)), 33_000);
    assert_eq!(
        balance(&row(OrderStatus::Delivered, 33_000, 33_000)),
        -33_000
    );
    // While it is open whether it ends, it is still owed.
    let canceling = CustomerRow {
        stage: OrderStatus::Paid,
        ..row(OrderStatus::Canceling, 33_000, 0)
    };
    assert_eq!(balance(&canceling), 0);
}

#[test]
fn money_of_a_canceled_order_is_on_its_way_until_all_of_it_has_gone_back() {
    let canceled = |paid, refunded| words(&row(OrderStatus::Canceled, paid, refunded));
    assert_eq!(canceled(0, 0), "Canceled.");
    for refunded in [0, 5] {
        let told = canceled(10, refunded);
        assert_eq!(told, "Canceled; the money is on its way back.");
    }
    assert_eq!(canceled(10, 10), "Canceled; the money has gone back.");
}

#[test]
fn the_next_step_says_until_when_and_what_happens_otherwise() {
    let limits = Limits::default();
    let step = |row: &CustomerRow, at| next(row, &Account::of(row), &limits, at);
    let pending = row(OrderStatus::Pending, 0, 0);
    let until = noon() + TimeDelta::minutes(10);
    let told = step(&pending, noon()).expect("a step");
    assert_eq!((told.until, told.late), (Some(until), false));
    assert!(step(&pending, until + TimeDelta::seconds(1)).is_some_and(|step| step.late));

    let paid = row(OrderStatus::Paid, 33_000, 0);
    assert_eq!(step(&paid, noon()).expect("a step").until, None);

    let shipped = with_parcel(
        row(OrderStatus::Shipped, 33_000, 0),
        DeliveryStatus::Shipped,
    );
    let told = step(&shipped, noon()).expect("a step");
    assert_eq!(told.until, Some(noon() + TimeDelta::days(14)));

    let left = with_parcel(
        row(OrderStatus::HandedOver, 33_000, 0),
        DeliveryStatus::HandedOver,
    );
    let told = step(&left, noon()).expect("a step");
    assert_eq!(told.until, Some(noon() + TimeDelta::days(30)));

    let endless = Limits {
        tracking: Duration::MAX,
        ..Limits::default()
    };
    let told = next(&left, &Account::of(&left), &endless, noon()).expect("a step");
    assert_eq!(told.until, None, "no moment is that far away");

    for over in [OrderStatus::Delivered, OrderStatus::Rejected] {
        assert_eq!(step(&row(over, 0, 0), noon()), None);
    }
    assert!(step(&row(OrderStatus::Canceled, 33_000, 0), noon()).is_some());
    assert_eq!(
        step(&row(OrderStatus::Canceled, 33_000, 33_000), noon()),
        None
    );
}

#[test]
fn what_is_wrong_is_spelled_out() {
    let mut row = with_parcel(
        row(OrderStatus::HandedOver, 33_000, 0),
        DeliveryStatus::TrackingLost,
    );
    assert!(words(&row).contains("lost from sight"), "{}", words(&row));
    if let Some(parcel) = &mut row.delivery {
        parcel.trouble = Some(Trouble {
            at: noon(),
            reason: "Nobody was at home.".to_owned(),
        });
    }
    if let Some(payment) = &mut row.payment {
        payment.status = PaymentStatus::RefundRefused;
    }
    row.cancel = Some(projections::customer::CancelFacts {
        actor: "customer".to_owned(),
        reason: "wrong edition".to_owned(),
        requested_at: noon(),
        refused: Some(Refusal {
            code: "handed-over".to_owned(),
            reason: "The parcel has left.".to_owned(),
        }),
        canceled_at: None,
    });
    let told = troubles(&row).join("\n");
    for part in [
        "refuses to give the money back",
        "told nothing",
        "Nobody was at home.",
        "The parcel has left.",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

/// One line for each of the table of cancels.
#[test]
fn what_cancelling_would_do_follows_from_how_far_the_order_has_come() {
    let ask = |row: &CustomerRow| {
        let cancelling = Cancelling::of(row, &Account::of(row));
        let json = serde_json::to_value(&cancelling).expect("JSON");
        let back = json["refund"]["amount"].as_i64();
        (
            cancelling.outcome,
            back,
            json["problem"].as_str().map(str::to_owned),
        )
    };
    let parcel = |status, parcel| with_parcel(row(status, 33_000, 0), parcel);
    let going = |outcome, back| (outcome, Some(back), None);
    let pending = row(OrderStatus::Pending, 0, 0);
    assert_eq!(ask(&pending), going(Outcome::ResolveFirst, 33_000));
    assert_eq!(
        ask(&row(OrderStatus::Paid, 33_000, 0)),
        going(Outcome::Refund, 33_000)
    );
    let refused = parcel(OrderStatus::Paid, DeliveryStatus::Refused);
    assert_eq!(ask(&refused), going(Outcome::UnderWay, 33_000));
    let shipped = parcel(OrderStatus::Shipped, DeliveryStatus::Shipped);
    assert_eq!(ask(&shipped), going(Outcome::HoldFirst, 33_000));
    let exception = parcel(OrderStatus::Canceling, DeliveryStatus::Exception);
    assert_eq!(ask(&exception), going(Outcome::UnderWay, 33_000));
    let open = row(OrderStatus::Canceled, 33_000, 0);
    assert_eq!(ask(&open), going(Outcome::UnderWay, 33_000));
    let over = row(OrderStatus::Canceled, 33_000, 33_000);
    assert_eq!(ask(&over), (Outcome::Done, None, None));
    for status in [OrderStatus::HandedOver, OrderStatus::Delivered] {
        let (outcome, back, problem) = ask(&row(status, 33_000, 0));
        assert_eq!((outcome, back), (Outcome::TooLate, None));
        assert_eq!(
            problem.as_deref(),
            Some("/problems/past-point-of-no-return")
        );
    }
    let (outcome, _, problem) = ask(&row(OrderStatus::Rejected, 0, 0));
    assert_eq!(outcome, Outcome::Nothing);
    assert_eq!(problem.as_deref(), Some("/problems/already-rejected"));
}
