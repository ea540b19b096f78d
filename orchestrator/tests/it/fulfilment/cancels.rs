//! Every row of the table of cancels.

use std::time::Duration;

use eventstore::testing::{TestLog, each_backend};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::providers::simulator::ledger::{Op, Port};
use orchestrator::providers::simulator::{Fault, Scan};
use uuid::Uuid;

use super::shop::{Setup, Shop, TOTAL, eventually};

pub(super) const NOT_AT_ALL: Duration = Duration::ZERO;

pub(super) fn is_canceled(answer: &CancelAnswer) -> bool {
    matches!(answer, CancelAnswer::Canceled { .. })
}

/// Begins to place an order, and waits until it is in the log.
async fn begun(shop: &Shop, key: &str, token: &str) -> Uuid {
    let (order, placing) = (Shop::id(key), shop.fulfilment.clone());
    let command = super::shop::command(key, super::shop::order(token));
    tokio::spawn(async move { placing.place(command).await });
    eventually(|| async { !shop.story(order).await.is_empty() }).await;
    order
}

#[tokio::test]
async fn a_charge_in_flight_is_resolved_first_and_goes_back() {
    let setup = Setup {
        provider_time_limit: Duration::from_secs(10),
        ..Setup::default()
    };
    let shop = Shop::with(setup).await;
    let order = begun(&shop, "a", "slow-1500").await;
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    let story = shop.story(order).await;
    let told = ["Ordered", "OrderPending", "OrderCancelRequested"];
    let done = ["Paid", "OrderPaid", "OrderCanceled", "PayCanceled"];
    let mut sorted = story.clone();
    sorted.sort();
    let mut expected: Vec<_> = told.iter().chain(&done).map(ToString::to_string).collect();
    assert!(
        story.ends_with(&["OrderCanceled".to_string(), "PayCanceled".to_string()]),
        "{story:?}"
    );
    expected.sort();
    assert_eq!(sorted, expected);
    assert_eq!(shop.effects(order), [Op::Charge, Op::Refund]);
    shop.close().await;
}

#[tokio::test]
async fn an_unknown_charge_that_was_declined_leaves_nothing_to_undo() {
    let shop = Shop::open().await;
    let order = Shop::id("a");
    shop.simulator.script(Op::Charge, order, Fault::LoseRequest);
    shop.simulator
        .script(Op::Charge, order, Fault::Refuse("card-declined"));
    begun(&shop, "a", "ok").await;
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert!(
        shop.story(order)
            .await
            .contains(&"PaymentDeclined".to_string())
    );
    assert_eq!(shop.effects(order), []);
    shop.close().await;
}

#[tokio::test]
async fn a_charge_that_never_left_needs_no_answer_to_be_canceled() {
    let shop = Shop::open().await;
    let order = begun(&shop, "a", "down").await;
    shop.until(order, |saga| {
        let pay = saga.state.step("pay");
        pay.is_some_and(|pay| pay.attempt > 1)
    })
    .await;
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    let story = shop.story(order).await;
    assert!(story.ends_with(&["OrderCanceled".to_string()]), "{story:?}");
    assert!(!story.contains(&"OrderRejected".to_string()), "{story:?}");
    assert_eq!(shop.effects(order), []);
    shop.close().await;
}

#[tokio::test]
async fn paid_and_not_shipped_is_refunded_without_a_hold() {
    each_backend(|log: TestLog| async move {
        let shop = Shop::on(log, Setup::default()).await;
        shop.simulator.set_outage(Port::Carrier, true);
        let order = shop.paid("a").await;
        assert!(is_canceled(&shop.cancel(order).await));
        shop.at_rest(order).await;
        let story = shop.story(order).await;
        let expected = [
            "Ordered",
            "Paid",
            "OrderPaid",
            "OrderCancelRequested",
            "OrderCanceled",
            "PayCanceled",
        ];
        assert_eq!(story, expected);
        assert_eq!(shop.effects(order), [Op::Charge, Op::Refund]);
        shop.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_shipment_in_flight_is_resolved_first_and_held() {
    let setup = Setup {
        provider_time_limit: Duration::from_secs(10),
        ..Setup::default()
    };
    let shop = Shop::with(setup).await;
    let order = Shop::id("a");
    shop.simulator
        .script(Op::Ship, order, Fault::Slow(Duration::from_millis(200)));
    shop.paid("a").await;
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Refund, Op::Cancel]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_shipped_parcel_is_held_then_refunded_then_called_off() {
    each_backend(|log: TestLog| async move {
        let shop = Shop::on(log, Setup::default()).await;
        let order = shop.shipped("a").await;
        assert!(is_canceled(&shop.cancel(order).await));
        shop.at_rest(order).await;
        let story = shop.story(order).await;
        let unwound = [
            "OrderCancelRequested",
            "DeliveryHeld",
            "OrderCanceled",
            "PayCanceled",
            "DeliveryCanceled",
        ];
        assert_eq!(story[5..], unwound);
        let report = shop.close().await;
        assert_eq!(report.counts.messages_sent, 2);
        assert_eq!(report.counts.returned["KRW"], TOTAL);
    })
    .await;
}

#[tokio::test]
async fn no_money_goes_back_while_the_hold_is_unknown() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator.set_outage(Port::Carrier, true);
    assert_eq!(
        shop.cancel_within(order, Duration::from_millis(100)).await,
        CancelAnswer::Canceling
    );
    assert_eq!(shop.effects(order), [Op::Charge, Op::Ship]);
    shop.simulator.set_outage(Port::Carrier, false);
    shop.simulator.script(Op::Hold, order, Fault::LoseReply);
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Refund, Op::Cancel]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_refused_hold_refuses_the_cancel_and_the_order_goes_on_as_before() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Hold, order, Fault::Refuse("handed-over"));
    let CancelAnswer::PastPointOfNoReturn(refusal) = shop.cancel(order).await else {
        panic!("it was not refused")
    };
    assert_eq!(refusal.code, "handed-over");
    let now = shop.fulfilment.order(order).await.unwrap().unwrap().value;
    assert_eq!(now.shown_status(), "Shipped");
    // A later request is a request of its own, and the carrier has changed its mind.
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    let report = shop.close().await;
    assert_eq!(report.counts.cancel_refused, 1);
}

#[tokio::test]
async fn a_parcel_that_left_without_our_knowing_refuses_the_cancel() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator.set_outage(Port::Carrier, true);
    assert!(shop.simulator.scan(order, Scan::HandOver, false).await);
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    shop.simulator.set_outage(Port::Carrier, false);
    assert!(matches!(
        shop.cancel(order).await,
        CancelAnswer::PastPointOfNoReturn(_)
    ));
    assert_eq!(shop.effects(order), [Op::Charge, Op::Ship, Op::Handover]);
    shop.close().await;
}

#[tokio::test]
async fn handed_over_and_delivered_orders_can_only_be_returned() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator.scan(order, Scan::HandOver, false).await;
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    assert!(matches!(
        shop.cancel(order).await,
        CancelAnswer::PastPointOfNoReturn(_)
    ));
    shop.simulator.scan(order, Scan::Deliver, false).await;
    shop.fulfilment.scanned(order);
    shop.at_rest(order).await;
    assert!(matches!(
        shop.cancel(order).await,
        CancelAnswer::PastPointOfNoReturn(_)
    ));
    let story = shop.story(order).await;
    let expected = [
        "Ordered",
        "Paid",
        "OrderPaid",
        "Shipped",
        "OrderShipped",
        "HandedOver",
        "OrderHandedOver",
        "InTransit",
        "OutForDelivery",
        "Delivered",
        "OrderDelivered",
    ];
    assert_eq!(story, expected);
    shop.close().await;
}

#[tokio::test]
async fn a_shipment_refused_for_good_cancels_the_order_in_the_systems_name() {
    let shop = Shop::open().await;
    let order = Shop::id("a");
    shop.simulator
        .script(Op::Ship, order, Fault::Refuse("address-unknown"));
    shop.paid("a").await;
    shop.at_rest(order).await;
    let now = shop.fulfilment.order(order).await.unwrap().unwrap().value;
    assert_eq!(now.canceled.unwrap().actor, "system");
    assert_eq!(shop.effects(order), [Op::Charge, Op::Refund]);
    assert!(is_canceled(&shop.cancel(order).await));
    shop.close().await;
}

#[tokio::test]
async fn a_final_answer_never_changes_and_a_repeat_gives_the_current_one() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let first = shop.cancel(order).await;
    assert!(is_canceled(&first));
    shop.at_rest(order).await;
    assert!(is_canceled(&shop.cancel(order).await));

    shop.place("b", "decline").await;
    assert_eq!(
        shop.cancel(Shop::id("b")).await,
        CancelAnswer::AlreadyRejected
    );
    assert_eq!(shop.cancel(Uuid::now_v7()).await, CancelAnswer::NotFound);
    shop.close().await;
}

#[tokio::test]
async fn ten_requests_at_once_cancel_and_refund_once() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let asking = (0..10).map(|_| shop.cancel(order));
    let answers = futures_util::future::join_all(asking).await;
    assert!(answers.iter().all(is_canceled), "{answers:?}");
    shop.at_rest(order).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Refund, Op::Cancel]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_cancel_suppresses_a_shipped_message_that_was_not_sent() {
    let shop = Shop::open().await;
    shop.simulator.set_outage(Port::Kakao, true);
    let order = shop.paid("a").await;
    shop.until(order, |saga| {
        saga.state
            .step("notify")
            .is_some_and(|step| step.attempt > 0)
    })
    .await;
    assert!(is_canceled(&shop.cancel(order).await));
    shop.simulator.set_outage(Port::Kakao, false);
    shop.at_rest(order).await;
    let report = shop.close().await;
    assert_eq!(
        (
            report.counts.messages_sent,
            report.counts.messages_suppressed
        ),
        (1, 1)
    );
}

/// A van that came while nobody knew yet whether the carrier had accepted the parcel.
#[tokio::test]
async fn a_parcel_that_was_seen_to_leave_on_the_way_back_refuses_every_later_cancel() {
    let setup = Setup {
        provider_time_limit: Duration::from_secs(10),
        ..Setup::default()
    };
    let shop = Shop::with(setup).await;
    let order = Shop::id("a");
    // First attempts, all of them: whoever tries for the first time looks for the van only after minutes.
    // The cancel is on record before the first of them ends, also where the log takes its time.
    for (op, millis) in [(Op::Ship, 3_000), (Op::Hold, 2_000)] {
        let slow = Fault::Slow(Duration::from_millis(millis));
        shop.simulator.script(op, order, slow);
    }
    shop.paid("a").await;
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    shop.until(order, |saga| {
        assert!(saga.state.step("handover").is_none());
        saga.state.is_done("ship")
    })
    .await;
    assert!(shop.simulator.scan(order, Scan::HandOver, false).await);
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    for _ in 0..2 {
        let answer = shop.cancel(order).await;
        assert!(
            matches!(answer, CancelAnswer::PastPointOfNoReturn(_)),
            "{answer:?}"
        );
    }
    let saga = shop
        .until(order, |saga| saga.state.step("track").is_some())
        .await;
    assert!(saga.state.is_done("handover"));
    assert_eq!(shop.effects(order), [Op::Charge, Op::Ship, Op::Handover]);
    shop.close().await;
}
