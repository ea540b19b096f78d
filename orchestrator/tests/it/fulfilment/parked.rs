//! What a person has to decide: a refund refused for good, and a parcel that left although it was held.

use aggregates::saga::{Status, Verdict};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::providers::simulator::ledger::{Op, Port};
use orchestrator::providers::simulator::{Fault, Scan};
use orchestrator::saga::verbs::{Finding, Request, VerbError};
use serde_json::json;
use uuid::Uuid;

use super::cancels::{NOT_AT_ALL, is_canceled};
use super::shop::{Shop, TOTAL};

#[tokio::test]
async fn a_refund_refused_for_good_parks_the_saga_and_resolving_it_goes_on() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    assert_eq!(shop.effects(order), [Op::Charge, Op::Ship, Op::Hold]);
    let report = shop.audit().await;
    assert_eq!((report.counts.parked, report.violations.len()), (1, 0));

    let by_hand = Finding {
        outcome: Verdict::Done,
        evidence: json!({ "ref": "bank transfer 77" }),
        force: true,
    };
    let request = Request {
        actor: "operator".into(),
        reason: "sent by bank".into(),
    };
    shop.fulfilment
        .engine()
        .resolve(order, "refund", by_hand, &request)
        .await
        .unwrap();
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert!(is_canceled(&shop.cancel(order).await));
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    assert_eq!(payment.refunded(), TOTAL);
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Cancel]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_refused_refund_can_be_tried_again_under_a_fresh_key() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
    shop.cancel(order).await;
    shop.at_rest(order).await;
    let request = Request {
        actor: "operator".into(),
        reason: "account opened".into(),
    };
    shop.fulfilment
        .engine()
        .retry(order, "refund", &request)
        .await
        .unwrap();
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Refund, Op::Cancel]
    );
    shop.close().await;
}

/// A carrier that takes along what it promised to hold, before the money went back.
async fn scanned_after_hold(shop: &Shop) -> Uuid {
    let order = shop.shipped("a").await;
    shop.simulator.set_outage(Port::Payment, true);
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    shop.until(order, |saga| saga.state.step("refund").is_some())
        .await;
    assert!(shop.simulator.scan(order, Scan::HandOver, true).await);
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.status() == Status::Parked)
        .await;
    shop.simulator.set_outage(Port::Payment, false);
    order
}

#[tokio::test]
async fn a_scan_after_a_granted_hold_is_an_exception_and_stops_the_refund() {
    let shop = Shop::open().await;
    let order = scanned_after_hold(&shop).await;
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    assert!(
        shop.story(order)
            .await
            .contains(&"DeliveryException".to_string())
    );
    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Handover]
    );
    let report = shop.close().await;
    assert_eq!(report.counts.parked, 1);
}

#[tokio::test]
async fn a_parcel_that_came_back_after_such_a_scan_is_refunded() {
    let shop = Shop::open().await;
    let order = scanned_after_hold(&shop).await;
    let back = Finding {
        outcome: Verdict::Undone,
        evidence: json!(null),
        force: true,
    };
    let request = Request {
        actor: "operator".into(),
        reason: "the carrier brought it back".into(),
    };
    shop.fulfilment
        .engine()
        .resolve(order, "handover", back, &request)
        .await
        .unwrap();
    shop.until(order, |saga| saga.state.is_done("refund")).await;
    assert!(shop.story(order).await.contains(&"PayCanceled".to_string()));
    shop.close().await;
}

#[tokio::test]
async fn a_parcel_that_is_gone_after_such_a_scan_stays_paid() {
    let shop = Shop::open().await;
    let order = scanned_after_hold(&shop).await;
    let gone = Finding {
        outcome: Verdict::Done,
        evidence: json!(null),
        force: true,
    };
    let request = Request {
        actor: "operator".into(),
        reason: "the customer has it".into(),
    };
    shop.fulfilment
        .engine()
        .resolve(order, "handover", gone, &request)
        .await
        .unwrap();
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Handover]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_scan_after_the_order_was_canceled_is_found_and_parked_with_its_total() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert!(shop.simulator.scan(order, Scan::HandOver, true).await);
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.status() == Status::Parked)
        .await;
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    assert!(
        shop.story(order)
            .await
            .contains(&"DeliveryException".to_string())
    );
    // What the customer was told stays true: the money is back.
    assert!(is_canceled(&shop.cancel(order).await));
    shop.close().await;
}

#[tokio::test]
async fn a_label_that_is_not_voided_is_an_exception() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Cancel, order, Fault::Refuse("printed"));
    assert!(is_canceled(&shop.cancel(order).await));
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    assert!(
        shop.story(order)
            .await
            .contains(&"DeliveryException".to_string())
    );
    shop.close().await;
}

#[tokio::test]
async fn what_a_person_states_must_have_the_form_of_what_it_stands_for() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
    shop.cancel(order).await;
    shop.at_rest(order).await;
    let before = shop.log().await.len();
    let nonsense = Finding {
        outcome: Verdict::Done,
        evidence: json!({ "paid": "yes" }),
        force: true,
    };
    let request = Request {
        actor: "operator".into(),
        reason: "a slip".into(),
    };
    let engine = shop.fulfilment.engine();
    let answer = engine.resolve(order, "refund", nonsense, &request).await;
    assert!(matches!(answer, Err(VerbError::Record(_))), "{answer:?}");
    // Unless forced, the provider is asked, and it knows nothing of such a refund.
    let claim = Finding {
        outcome: Verdict::Done,
        evidence: json!({ "ref": "x" }),
        force: false,
    };
    let answer = engine.resolve(order, "refund", claim, &request).await;
    assert!(
        matches!(answer, Err(VerbError::NotConfirmed(_))),
        "{answer:?}"
    );
    assert_eq!(shop.log().await.len(), before);
    shop.close().await;
}
