//! What a person has to decide: a refund refused for good, and a parcel that left although it was held.

use std::time::Duration;

use aggregates::saga::{Phase, Status, Verdict};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::Mode;
use orchestrator::fulfilment::reconcile::report::Action;
use orchestrator::providers::ports::{Answer, CarrierPort};
use orchestrator::providers::simulator::ledger::{Op, Port};
use orchestrator::providers::simulator::{Fault, Scan};
use orchestrator::saga::verbs::{Finding, Request, VerbError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::cancels::{NOT_AT_ALL, is_canceled};
use super::reconciles::{codes, compare};
use super::shop::{Setup, Shop, TOTAL};

pub(super) fn request(reason: &str) -> Request {
    Request {
        actor: "operator".into(),
        reason: reason.into(),
    }
}

/// What a person says without asking anybody to confirm it.
pub(super) fn found(outcome: Verdict, evidence: Value) -> Finding {
    Finding {
        outcome,
        evidence,
        force: true,
    }
}

pub(super) async fn resolve(shop: &Shop, order: Uuid, step: &str, finding: Finding, reason: &str) {
    let engine = shop.fulfilment.engine();
    let request = request(reason);
    let resolved = engine.resolve(order, step, finding, &request);
    resolved.await.unwrap();
}

/// An order that was canceled, and whose money nobody takes back.
async fn refund_refused(shop: &Shop) -> Uuid {
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);
    shop.at_rest(order).await;
    order
}

#[tokio::test]
async fn a_refund_refused_for_good_parks_the_saga_and_resolving_it_goes_on() {
    let shop = Shop::open().await;
    let order = refund_refused(&shop).await;
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    assert_eq!(shop.effects(order), [Op::Charge, Op::Ship, Op::Hold]);
    let report = shop.audit().await;
    assert_eq!((report.counts.parked, report.violations.len()), (1, 0));

    let by_hand = found(Verdict::Done, json!({ "ref": "bank transfer 77" }));
    resolve(&shop, order, "refund", by_hand, "sent by bank").await;
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
    let order = refund_refused(&shop).await;
    let engine = shop.fulfilment.engine();
    let request = request("account opened");
    engine.retry(order, "refund", &request).await.unwrap();
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Refund, Op::Cancel]
    );
    shop.close().await;
}

/// Whether it is on record that the parcel did what it should not have done, with what is at stake.
async fn is_an_exception(shop: &Shop, order: Uuid) -> bool {
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    let story = shop.story(order).await;
    story.contains(&"DeliveryException".to_string())
}

/// A carrier that takes along what it promised to hold, before the money went back.
pub(super) async fn scanned_after_hold(shop: &Shop) -> Uuid {
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
    assert!(is_an_exception(&shop, order).await);
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
    let back = found(Verdict::Undone, Value::Null);
    resolve(
        &shop,
        order,
        "handover",
        back,
        "the carrier brought it back",
    )
    .await;
    shop.until(order, |saga| saga.state.is_done("refund")).await;
    assert!(shop.story(order).await.contains(&"PayCanceled".to_string()));
    shop.close().await;
}

#[tokio::test]
async fn a_parcel_that_is_gone_after_such_a_scan_stays_paid() {
    let shop = Shop::open().await;
    let order = scanned_after_hold(&shop).await;
    let gone = found(Verdict::Done, Value::Null);
    resolve(&shop, order, "handover", gone, "the customer has it").await;
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
    assert!(is_an_exception(&shop, order).await);
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
    assert!(is_an_exception(&shop, order).await);
    shop.close().await;
}

#[tokio::test]
async fn a_parcel_whose_label_was_voided_by_hand_needs_no_hold() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let voided = shop.simulator.cancel(order, "by hand").await;
    assert_eq!(voided, Answer::Done(()));
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Cancel, Op::Refund]
    );
    only_the_void_was_by_hand(&shop).await;
}

/// What was done by hand is all that the auditor has to say.
async fn only_the_void_was_by_hand(shop: &Shop) {
    let found = shop.audit().await.violations;
    let told: Vec<_> = found.iter().map(ToString::to_string).collect();
    let by_hand = |it: &String| it.contains("a key that the log does not know");
    assert!(told.len() == 1 && told.iter().all(by_hand), "{told:?}");
}

#[tokio::test]
async fn an_order_whose_label_was_voided_by_others_is_called_off_and_its_money_goes_back() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let voided = shop.simulator.cancel(order, "by hand").await;
    assert_eq!(voided, Answer::Done(()));
    shop.fulfilment.scanned(order);
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert!(is_canceled(&shop.cancel(order).await));
    let effects = [Op::Charge, Op::Ship, Op::Cancel, Op::Refund];
    assert_eq!(shop.effects(order), effects);
    only_the_void_was_by_hand(&shop).await;
    // A van that takes it along all the same is seen, as after any other cancel.
    assert!(shop.simulator.scan(order, Scan::HandOver, true).await);
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.status() == Status::Parked)
        .await;
    assert!(is_an_exception(&shop, order).await);
}

#[tokio::test]
async fn a_label_that_was_voided_by_others_is_found_by_a_comparison() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let voided = shop.simulator.cancel(order, "by hand").await;
    assert_eq!(voided, Answer::Done(()));
    let expected = [("label-voided-outside", Action::Fixed)];
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), expected);
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert!(is_canceled(&shop.cancel(order).await));
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    only_the_void_was_by_hand(&shop).await;
}

/// The parcel was looked for in vain for so long that a person was told, and then its label turns out to be void.
#[tokio::test]
async fn a_void_label_ends_the_wait_of_a_parcel_that_a_person_was_told_of() {
    let look = Duration::from_millis(30);
    let limits = Limits {
        handover: Duration::from_millis(100),
        look_first: look,
        look_cap: look,
        ..Setup::default().limits
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let shop = Shop::with(setup).await;
    let order = shop.shipped("a").await;
    shop.until(order, |saga| saga.state.status() == Status::Parked)
        .await;
    let voided = shop.simulator.cancel(order, "by hand").await;
    assert_eq!(voided, Answer::Done(()));
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert_eq!(end.state.status(), Status::Unwound);
    only_the_void_was_by_hand(&shop).await;
}

#[tokio::test]
async fn a_parcel_that_the_carrier_does_not_know_has_not_left_and_is_for_a_person() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Hold, order, Fault::Refuse("no-such-parcel"));
    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.status(), Status::Parked);
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    // Nobody was told that it is too late.
    let story = shop.story(order).await;
    assert!(!story.contains(&"OrderCancelRefused".to_string()));
    shop.close().await;
}

/// A carrier that says nothing of use about a parcel that it is to keep, and a person who asked it by telephone.
async fn cannot_be_held(shop: &Shop, order: Uuid) {
    shop.until(order, |saga| {
        let hold = saga.state.step("hold");
        hold.is_some_and(|hold| hold.parked.is_some())
    })
    .await;
    let claim = Finding {
        force: false,
        ..found(Verdict::Undone, Value::Null)
    };
    resolve(shop, order, "hold", claim, "they cannot hold it").await;
}

#[tokio::test]
async fn a_parcel_that_a_person_found_cannot_be_held_goes_its_way_and_the_cancel_is_refused() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Hold, order, Fault::Refuse("no-such-parcel"));
    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);
    cannot_be_held(&shop, order).await;
    let saga = shop
        .until(order, |saga| {
            saga.state
                .step("hold")
                .is_some_and(|hold| hold.parked.is_none())
        })
        .await;
    assert_eq!(saga.state.phase, Phase::Forward);
    let placed = shop.fulfilment.order(order).await.unwrap().unwrap().value;
    assert_eq!(placed.shown_status(), "Shipped");
    assert_eq!(placed.cancel_refusal.unwrap().code, "resolved-undone");
    // The van is waited for again.
    assert!(shop.simulator.scan(order, Scan::HandOver, false).await);
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    assert!(shop.simulator.scan(order, Scan::Deliver, false).await);
    shop.fulfilment.scanned(order);
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Completed);
    let report = shop.close().await;
    assert_eq!(report.counts.by_status["Delivered"], 1);
}

#[tokio::test]
async fn a_parcel_that_cannot_be_held_stays_with_a_person_where_nobody_asked_for_a_cancel() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let voided = shop.simulator.cancel(order, "by hand").await;
    assert_eq!(voided, Answer::Done(()));
    shop.simulator
        .script(Op::Hold, order, Fault::Refuse("no-such-parcel"));
    shop.fulfilment.scanned(order);
    cannot_be_held(&shop, order).await;
    let parked = shop.at_rest(order).await;
    assert_eq!(parked.state.status(), Status::Parked);
    let hold = parked.state.step("hold").unwrap().parked.as_ref().unwrap();
    assert_eq!(hold.code, "resolved-undone");
    assert_eq!(hold.at_stake.as_ref().unwrap().amount, TOTAL);
    // What lies with a void label cannot leave.
    let kept = found(Verdict::Done, Value::Null);
    resolve(&shop, order, "hold", kept, "its label is void").await;
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    let effects = [Op::Charge, Op::Ship, Op::Cancel, Op::Refund];
    assert_eq!(shop.effects(order), effects);
    only_the_void_was_by_hand(&shop).await;
}

#[tokio::test]
async fn what_a_person_states_must_have_the_form_of_what_it_stands_for() {
    let shop = Shop::open().await;
    let order = refund_refused(&shop).await;
    let before = shop.log().await.len();
    let nonsense = found(Verdict::Done, json!({ "paid": "yes" }));
    let request = request("a slip");
    let engine = shop.fulfilment.engine();
    let answer = engine.resolve(order, "refund", nonsense, &request).await;
    assert!(matches!(answer, Err(VerbError::Record(_))), "{answer:?}");
    // Unless forced, the provider is asked, and it knows nothing of such a refund.
    let claim = Finding {
        force: false,
        ..found(Verdict::Done, json!({ "ref": "x" }))
    };
    let answer = engine.resolve(order, "refund", claim, &request).await;
    assert!(
        matches!(answer, Err(VerbError::NotConfirmed(_))),
        "{answer:?}"
    );
    assert_eq!(shop.log().await.len(), before);
    shop.close().await;
}
