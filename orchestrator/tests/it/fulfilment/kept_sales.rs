//! A parcel that left although it was called off, and a person who lets the sale stand.

use std::time::Duration;

use aggregates::saga::{Phase, Status, Verdict};
use chrono::{TimeDelta, Utc};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::Mode;
use orchestrator::fulfilment::reconcile::called_off::CalledOff;
use orchestrator::fulfilment::reconcile::report::Action;
use orchestrator::providers::simulator::ledger::{Op, Port};
use orchestrator::providers::simulator::{Fault, Scan};
use orchestrator::saga::verbs::VerbError;
use serde_json::Value;
use uuid::Uuid;

use super::cancels::{NOT_AT_ALL, is_canceled};
use super::parked::{found, request, resolve, scanned_after_hold};
use super::reconciles::{codes, compare, count, kept, plant_refund};
use super::shop::{Setup, Shop, TOTAL, eventually};

/// A person finds that the parcel is with the customer for good.
async fn let_it_stand(shop: &Shop, order: Uuid) {
    let gone = found(Verdict::Done, Value::Null);
    resolve(shop, order, "handover", gone, "the customer has it").await;
}

async fn status(shop: &Shop, order: Uuid) -> &'static str {
    let placed = shop.fulfilment.order(order).await.unwrap().unwrap().value;
    placed.shown_status()
}

async fn is_refused(shop: &Shop, order: Uuid) -> bool {
    let answer = shop.cancel_within(order, NOT_AT_ALL).await;
    matches!(answer, CancelAnswer::PastPointOfNoReturn(refusal) if refusal.code == "scan-after-hold")
}

/// What is parked of an order whose money and parcel are both gone.
async fn both_gone(shop: &Shop, order: Uuid, code: &'static str) {
    let report = compare(shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [(code, Action::Parked)]);
    let parked = shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    let books = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    assert_eq!(books.mismatches[0].refusal.code, "refunded-and-shipped");
    assert_eq!(count(&shop.effects(order), Op::Refund), 1);
    assert_eq!(kept(shop, order).await, 0);
}

#[tokio::test]
async fn a_sale_that_stands_after_its_cancel_is_told_as_one_and_delivered() {
    let shop = Shop::open().await;
    let order = scanned_after_hold(&shop).await;
    assert_eq!(status(&shop, order).await, "Canceled");
    let_it_stand(&shop, order).await;
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(status(&shop, order).await, "HandedOver");
    assert!(is_refused(&shop, order).await);
    let told = shop.story(order).await;
    assert!(
        told.ends_with(&["HandedOver".into(), "OrderCancelTakenBack".into()]),
        "{told:?}"
    );
    // It is looked for until it arrives, although its saga is over.
    assert!(shop.simulator.scan(order, Scan::Deliver, true).await);
    let mut called_off = CalledOff::new(shop.fulfilment.clone());
    let later = Utc::now() + TimeDelta::hours(3);
    assert_eq!(called_off.look(later).await.unwrap(), 1);
    shop.until(order, |saga| {
        saga.state.is_done("track") && saga.state.is_finished()
    })
    .await;
    let much_later = later + TimeDelta::hours(9);
    assert_eq!(called_off.look(much_later).await.unwrap(), 0);
    assert_eq!(status(&shop, order).await, "Delivered");
    assert_eq!(kept(&shop, order).await, TOTAL);
    assert!(is_refused(&shop, order).await);
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    shop.close().await;
}

/// The van was scanned before the carrier's word that it keeps the parcel was on record: the request is still open.
async fn left_before_the_hold() -> (Shop, Uuid) {
    let pause = Duration::from_secs(1);
    let limits = Limits {
        retry_first: pause,
        retry_cap: pause,
        ..Setup::default().limits
    };
    let shop = Shop::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let order = shop.shipped("a").await;
    shop.simulator.script(Op::Hold, order, Fault::LoseReply);
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    eventually(|| async { count(&shop.effects(order), Op::Hold) == 1 }).await;
    assert!(shop.simulator.scan(order, Scan::HandOver, true).await);
    shop.fulfilment.scanned(order);
    let parked = shop
        .until(order, |saga| saga.state.status() == Status::Parked)
        .await;
    assert!(parked.state.is_done("hold") && parked.state.is_done("handover"));
    assert_eq!(status(&shop, order).await, "Canceling");
    (shop, order)
}

#[tokio::test]
async fn a_request_that_is_still_open_is_refused_when_the_sale_stands() {
    let (shop, order) = left_before_the_hold().await;
    let_it_stand(&shop, order).await;
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(status(&shop, order).await, "HandedOver");
    assert!(is_refused(&shop, order).await);
    assert_eq!(kept(&shop, order).await, TOTAL);
    shop.close().await;
}

#[tokio::test]
async fn a_parcel_that_left_before_it_was_held_is_not_resolved_as_undone() {
    let (shop, order) = left_before_the_hold().await;
    let parked = shop.at_rest(order).await;
    let handover = parked.state.step("handover").unwrap();
    let told = &handover.parked.as_ref().unwrap().suggestion;
    assert!(told.contains("resolve as done"), "{told}");
    let before = shop.log().await.len();
    let (back, why) = (found(Verdict::Undone, Value::Null), request("it is back"));
    let engine = shop.fulfilment.engine();
    let answer = engine.resolve(order, "handover", back, &why).await;
    let Err(VerbError::Record(refused)) = &answer else {
        panic!("{answer:?}")
    };
    assert!(refused.reason.contains("as done"), "{refused}");
    assert_eq!(shop.log().await.len(), before);
    // What it says instead is taken.
    let_it_stand(&shop, order).await;
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(status(&shop, order).await, "HandedOver");
    assert_eq!(kept(&shop, order).await, TOTAL);
    shop.close().await;
}

/// A carrier that takes along what it promised to hold, while nobody knows what came of the refund.
async fn scanned_while_refunding(shop: &Shop) -> Uuid {
    let order = shop.shipped("a").await;
    shop.simulator.script(Op::Refund, order, Fault::LoseReply);
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    eventually(|| async { count(&shop.effects(order), Op::Refund) == 1 }).await;
    shop.simulator.set_outage(Port::Payment, true);
    assert!(shop.simulator.scan(order, Scan::HandOver, true).await);
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| {
        let handover = saga.state.step("handover");
        handover.is_some_and(|handover| handover.parked.is_some())
    })
    .await;
    order
}

#[tokio::test]
async fn money_that_may_have_gone_back_before_the_sale_stood_is_looked_for_and_told() {
    let pause = Duration::from_millis(500);
    let limits = Limits {
        retry_first: pause,
        retry_cap: pause,
        ..Setup::default().limits
    };
    let shop = Shop::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let order = scanned_while_refunding(&shop).await;
    let_it_stand(&shop, order).await;
    shop.simulator.set_outage(Port::Payment, false);
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert!(end.state.is_done("refund"));
    both_gone(&shop, order, "refunded-and-shipped").await;
    assert_eq!(
        codes(&compare(&shop, Mode::Automatic).await),
        [("refunded-and-shipped", Action::UnderWay)]
    );
}

#[tokio::test]
async fn a_refund_at_the_dashboard_of_a_sale_that_stands_is_parked_with_what_is_at_stake() {
    let shop = Shop::open().await;
    let order = scanned_after_hold(&shop).await;
    let_it_stand(&shop, order).await;
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    plant_refund(&shop, order, &payment.charges[0].provider_ref).await;
    both_gone(&shop, order, "refunded-outside").await;
}

#[tokio::test]
async fn a_canceled_parcel_that_arrives_stays_with_the_person_who_has_it_and_parks_nothing_else() {
    let shop = Shop::open().await;
    let (open, settled) = (shop.shipped("a").await, shop.shipped("b").await);
    for order in [open, settled] {
        assert!(is_canceled(&shop.cancel(order).await));
        shop.at_rest(order).await;
        assert!(shop.simulator.scan(order, Scan::HandOver, true).await);
        shop.fulfilment.scanned(order);
        shop.until(order, |saga| saga.state.status() == Status::Parked)
            .await;
    }
    let_it_stand(&shop, settled).await;
    shop.until(settled, |saga| saga.state.is_finished()).await;
    // The money had gone back: the order stays what its customer was told.
    assert_eq!(status(&shop, settled).await, "Canceled");
    for order in [open, settled] {
        assert!(shop.simulator.scan(order, Scan::Deliver, true).await);
    }
    let mut called_off = CalledOff::new(shop.fulfilment.clone());
    let later = Utc::now() + TimeDelta::hours(3);
    assert_eq!(called_off.look(later).await.unwrap(), 2);
    for (order, is_parked) in [(open, true), (settled, false)] {
        let seen = shop.until(order, |saga| saga.state.is_done("track")).await;
        let parked: Vec<_> = seen
            .state
            .steps
            .iter()
            .filter(|it| it.parked.is_some())
            .collect();
        assert_eq!(parked.len(), usize::from(is_parked), "{parked:?}");
        assert!(parked.iter().all(|step| step.name == "handover"));
        assert_eq!(status(&shop, order).await, "Canceled");
    }
    shop.close().await;
}
