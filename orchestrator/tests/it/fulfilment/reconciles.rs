//! The providers' books against the log, with providers that did what nobody asked them for.

use std::time::Duration;

use aggregates::money::{Currency, Money};
use aggregates::saga::{Phase, SagaEvent};
use chrono::{TimeDelta, Utc};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::reconcile::finding::Safety;
use orchestrator::fulfilment::reconcile::report::{Action, Report};
use orchestrator::fulfilment::reconcile::{Ask, Mode, Pace, Reconciler};
use orchestrator::providers::ports::{Answer, Charge, PaymentPort, Refund};
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::providers::simulator::{Fault, Scan};
use orchestrator::saga::verbs::Request;
use orchestrator::saga::view::read;
use serde_json::json;
use uuid::Uuid;

use super::shop::{Setup, Shop, TOTAL};

const PRICE: Money = Money::new(TOTAL, Currency::KRW);

fn reconciler(shop: &Shop) -> Reconciler {
    let pace = Pace {
        grace: Duration::ZERO,
        ..Pace::default()
    };
    Reconciler::new(shop.fulfilment.clone(), pace)
}

pub(super) async fn compare(shop: &Shop, mode: Mode) -> Report {
    let why = Request {
        actor: "auditor".into(),
        reason: "monthly closing".into(),
    };
    let ask = Ask {
        since: None,
        mode,
        why,
    };
    let report = reconciler(shop).run(&ask).await.unwrap();
    Report::clone(&report)
}

pub(super) fn codes(report: &Report) -> Vec<(&'static str, Action)> {
    let found = report.findings.iter();
    found
        .map(|entry| (entry.finding.code, entry.action.clone()))
        .collect()
}

/// A charge that our engine never asked for, as by a second browser window.
pub(super) async fn plant_charge(shop: &Shop, order: Uuid, key: &str) -> String {
    let charge = Charge {
        key: key.to_owned(),
        order_id: order,
        amount: PRICE,
        method: "card".into(),
        token: "ok".into(),
        not_after: Utc::now() + TimeDelta::minutes(10),
    };
    match shop.simulator.charge(charge).await {
        Answer::Done(moved) => moved.reference,
        other => panic!("{other:?}"),
    }
}

/// A refund by somebody at the provider's dashboard.
pub(super) async fn plant_refund(shop: &Shop, order: Uuid, charge_ref: &str) {
    let refund = Refund {
        key: "dashboard".into(),
        order_id: order,
        charge_ref: charge_ref.to_owned(),
        charged_after: Utc::now(),
        amount: PRICE,
    };
    let answer = shop.simulator.refund(refund).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

pub(super) async fn kept(shop: &Shop, order: Uuid) -> i64 {
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    payment.charged() - payment.refunded()
}

pub(super) fn count(effects: &[Op], op: Op) -> usize {
    effects.iter().filter(|effect| **effect == op).count()
}

#[tokio::test]
async fn books_that_agree_have_no_finding() {
    let shop = Shop::open().await;
    let paid = shop.shipped("a").await;
    let canceled = shop.shipped("b").await;
    assert!(matches!(
        shop.cancel(canceled).await,
        CancelAnswer::Canceled { .. }
    ));
    shop.place("c", "decline").await;
    let report = compare(&shop, Mode::Requested).await;
    assert_eq!(codes(&report), []);
    assert!(report.orders >= 2 && report.unread.is_empty(), "{report:?}");
    assert_eq!(kept(&shop, paid).await, TOTAL);
    shop.close().await;
}

/// As from a process that was frozen while it charged: its answer names the charge of another window.
#[tokio::test]
async fn a_late_answer_that_names_another_charge_parks_no_order_and_the_charge_goes_back() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let second = plant_charge(&shop, order, "second window").await;
    let engine = shop.fulfilment.engine();
    let why = Request {
        actor: "a frozen process".into(),
        reason: "it wakes".into(),
    };
    let output = json!({ "ref": second, "amount": TOTAL, "currency": "KRW" });
    let told = engine.found(order, "late-charge", &output, &why, |_| true);
    assert!(told.await.unwrap(), "it is in the saga's log");
    let saga = shop
        .until(order, |saga| saga.state.is_done("late-charge"))
        .await;
    assert!(saga.state.steps.iter().all(|step| step.parked.is_none()));
    assert_eq!(kept(&shop, order).await, TOTAL);
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("second-charge", Action::Fixed)]);
    shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    assert_eq!(kept(&shop, order).await, TOTAL);
    // The order goes on, also on its way back: its own charge is returned, once.
    assert!(matches!(
        shop.cancel(order).await,
        CancelAnswer::Canceled { .. }
    ));
    shop.at_rest(order).await;
    let effects = shop.effects(order);
    assert_eq!(
        (count(&effects, Op::Charge), count(&effects, Op::Refund)),
        (2, 2)
    );
    assert_eq!(kept(&shop, order).await, 0);
}

#[tokio::test]
async fn a_second_charge_goes_back_once_and_the_order_stands() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let second = plant_charge(&shop, order, "second window").await;
    assert_eq!(
        codes(&compare(&shop, Mode::Look).await),
        [("second-charge", Action::None)]
    );
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("second-charge", Action::Fixed)]);
    assert_eq!(report.findings[0].finding.reference, second);
    shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    let effects = shop.effects(order);
    assert_eq!(
        (count(&effects, Op::Charge), count(&effects, Op::Refund)),
        (2, 1)
    );
    assert_eq!(kept(&shop, order).await, TOTAL);
    let story = shop.story(order).await;
    assert!(
        story.ends_with(&["ExcessCharged".into(), "ExcessReturned".into()]),
        "{story:?}"
    );
    shop.close().await;
}

#[tokio::test]
async fn two_reconcilers_at_once_give_a_charge_back_once() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    plant_charge(&shop, order, "second window").await;
    let compared =
        futures_util::future::join_all((0..4).map(|_| compare(&shop, Mode::Automatic))).await;
    let fixed = compared.iter().flat_map(|report| &report.findings);
    assert_eq!(
        fixed.filter(|entry| entry.action == Action::Fixed).count(),
        1
    );
    let saga = compared
        .iter()
        .find_map(|report| report.findings.first()?.saga_id)
        .unwrap();
    shop.at_rest(saga).await;
    assert_eq!(count(&shop.effects(order), Op::Refund), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_charge_of_a_canceled_order_goes_back_although_its_own_went_back_before() {
    let shop = Shop::open().await;
    let order = shop.paid("a").await;
    assert!(matches!(
        shop.cancel(order).await,
        CancelAnswer::Canceled { .. }
    ));
    shop.at_rest(order).await;
    plant_charge(&shop, order, "late").await;
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("second-charge", Action::Fixed)]);
    shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    assert_eq!(kept(&shop, order).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_charge_that_turns_up_after_the_watch_is_refunded_by_the_orders_own_saga() {
    let shop = Shop::open().await;
    let order = Shop::id("a");
    shop.place("a", "decline").await;
    let end = shop.at_rest(order).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    plant_charge(&shop, order, "late approval").await;
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("late-charge", Action::Fixed)]);
    shop.until(order, |saga| {
        saga.state.is_done("refund") && saga.state.is_at_rest()
    })
    .await;
    assert_eq!(kept(&shop, order).await, 0);
    assert_eq!(count(&shop.effects(order), Op::Refund), 1);
    let why = shop.store.read_related(order).await.unwrap();
    let why = why
        .iter()
        .filter(|event| event.stream.category.as_str() == "saga");
    let told = why.filter_map(|event| match read(event).unwrap() {
        SagaEvent::SignalReceived(received) if received.signal == "found" => Some(received.data),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told[0]["actor"], "auditor");
    assert!(
        told[0]["reason"]
            .as_str()
            .unwrap()
            .contains("monthly closing"),
        "{told:?}"
    );
    shop.close().await;
}

#[tokio::test]
async fn a_refund_at_the_dashboard_is_imported_and_what_has_not_left_is_called_off() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    plant_refund(&shop, order, &payment.charges[0].provider_ref).await;
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("refunded-outside", Action::Fixed)]);
    let end = shop.at_rest(order).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert_eq!(kept(&shop, order).await, 0);
    let effects = shop.effects(order);
    assert_eq!(
        (count(&effects, Op::Refund), count(&effects, Op::Cancel)),
        (1, 1)
    );
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    shop.close().await;
}

#[tokio::test]
async fn a_refund_at_the_dashboard_of_a_parcel_that_left_is_imported_and_parked_with_the_money_at_stake()
 {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator.scan(order, Scan::HandOver, false).await;
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    plant_refund(&shop, order, &payment.charges[0].provider_ref).await;
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("refunded-outside", Action::Parked)]);
    let parked = shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    assert_eq!(kept(&shop, order).await, 0);
    let books = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    assert_eq!(books.mismatches[0].refusal.code, "refunded-and-shipped");
    assert_eq!(count(&shop.effects(order), Op::Refund), 1);
}

#[tokio::test]
async fn a_charge_of_an_order_that_nobody_knows_goes_back_only_when_somebody_says_so() {
    let shop = Shop::open().await;
    let nobody = Uuid::now_v7();
    plant_charge(&shop, nobody, "lost").await;
    let parked = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&parked), [("unknown-order", Action::Parked)]);
    assert_eq!(parked.findings[0].finding.fix, Safety::OnRequest);
    assert_eq!(count(&shop.effects(nobody), Op::Refund), 0);
    let fixed = compare(&shop, Mode::Requested).await;
    assert_eq!(codes(&fixed), [("unknown-order", Action::Fixed)]);
    shop.at_rest(fixed.findings[0].saga_id.unwrap()).await;
    assert_eq!(count(&shop.effects(nobody), Op::Refund), 1);
}

#[tokio::test]
async fn a_mismatch_is_parked_once_with_what_to_do_and_a_person_settles_it() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    // Half of it went back: no code of ours does that.
    let refund = Refund {
        key: "dashboard".into(),
        order_id: order,
        charge_ref: payment.charges[0].provider_ref.clone(),
        charged_after: Utc::now(),
        amount: Money::new(1_000, Currency::KRW),
    };
    assert!(matches!(
        shop.simulator.refund(refund).await,
        Answer::Done(_)
    ));
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("partly-refunded", Action::Parked)]);
    let saga = report.findings[0].saga_id.unwrap();
    let parked = shop.until(saga, |saga| saga.state.rested).await;
    let step = parked.state.step("settle").unwrap().parked.clone().unwrap();
    assert!(
        step.suggestion.contains("Ask the payment provider"),
        "{step:?}"
    );
    assert_eq!(step.at_stake.unwrap().amount, 1_000);
    assert_eq!(
        codes(&compare(&shop, Mode::Automatic).await),
        [("partly-refunded", Action::UnderWay)]
    );
    let resolved = orchestrator::saga::verbs::Finding {
        outcome: aggregates::saga::Verdict::Done,
        evidence: serde_json::Value::Null,
        force: false,
    };
    let who = Request {
        actor: "kim".into(),
        reason: "a voucher, agreed with the customer".into(),
    };
    shop.fulfilment
        .engine()
        .resolve(saga, "settle", resolved, &who)
        .await
        .unwrap();
    let over = shop.until(saga, |saga| saga.state.is_finished()).await;
    assert_eq!(over.state.phase, Phase::Completed);
    let books = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    assert_eq!(books.mismatches, []);
    let story = shop.story(order).await;
    assert!(
        story.ends_with(&["MismatchFound".into(), "MismatchSettled".into()]),
        "{story:?}"
    );
}

#[tokio::test]
async fn a_scan_that_nobody_heard_of_is_looked_at() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator.scan(order, Scan::HandOver, false).await;
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("scan-unseen", Action::Fixed)]);
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn a_provider_that_is_away_is_named_and_nothing_is_concluded() {
    use orchestrator::providers::simulator::ledger::Port;
    let shop = Shop::open().await;
    shop.shipped("a").await;
    shop.simulator.set_outage(Port::Payment, true);
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), []);
    assert_eq!(report.unread.len(), 1);
    assert!(
        report.unread[0].starts_with("payment: "),
        "{:?}",
        report.unread
    );
    shop.simulator.set_outage(Port::Payment, false);
    shop.close().await;
}

#[tokio::test]
async fn an_order_whose_payment_is_unknown_is_no_finding() {
    let shop = Shop::with(Setup::default()).await;
    let order = Shop::id("a");
    for _ in 0..20 {
        shop.simulator.script(Op::Charge, order, Fault::LoseReply);
    }
    shop.place("a", "ok").await;
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    shop.until(order, |saga| saga.state.is_done("pay")).await;
    shop.close().await;
}
