//! Mismatches that come of what people did: a reference that was typed in, a refund that was given up, a cancel that was cut off.

use std::time::Duration;

use aggregates::money::{Currency, Money};
use aggregates::saga::{Phase, Standing, Status, Verdict};
use chrono::{TimeDelta, Utc};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::called_off::CalledOff;
use orchestrator::fulfilment::reconcile::report::{Action, Report};
use orchestrator::fulfilment::reconcile::{Ask, Mode, Pace, Reconciler};
use orchestrator::providers::ports::{Answer, PaymentPort, Refund};
use orchestrator::providers::simulator::ledger::{Op, Port};
use orchestrator::providers::simulator::{Fault, Scan};
use orchestrator::saga::verbs::{Finding, Request};
use orchestrator::saga::view::Snapshot;
use serde_json::json;
use uuid::Uuid;

use super::reconciles::{codes, compare, count, kept, plant_charge, plant_refund};
use super::shop::{Setup, Shop, TOTAL};

fn why() -> Request {
    Request {
        actor: "kim".into(),
        reason: "seen in the dashboard".into(),
    }
}

/// Such an order in a shop where the next attempt comes after that pause, or half of it.
async fn charged_unknown(pause: Duration) -> (Shop, Uuid) {
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_secs(1),
        retry_first: pause,
        retry_cap: pause,
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    let order = shop.charged_unknown("a").await;
    (shop, order)
}

fn is_between_attempts(saga: &Snapshot) -> bool {
    let pay = saga.state.step("pay");
    pay.is_some_and(|pay| matches!(pay.standing, Standing::Backoff { .. }))
}

fn paid_as(reference: &str, force: bool) -> Finding {
    Finding {
        outcome: Verdict::Done,
        evidence: json!({ "ref": reference }),
        force,
    }
}

async fn reference(shop: &Shop, order: Uuid) -> String {
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    payment.charges[0].provider_ref.clone()
}

#[tokio::test]
async fn what_the_provider_confirms_is_recorded_in_its_words_not_in_those_of_a_person() {
    let (shop, order) = charged_unknown(Duration::from_mins(5)).await;
    shop.simulator.set_outage(Port::Payment, false);
    let engine = shop.fulfilment.engine();
    let typed = paid_as("what kim typed", false);
    engine.resolve(order, "pay", typed, &why()).await.unwrap();
    shop.until(order, |saga| saga.state.is_done("ship")).await;
    assert_ne!(reference(&shop, order).await, "what kim typed");
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    shop.close().await;
}

#[tokio::test]
async fn a_charge_stated_under_another_name_is_not_given_back_while_its_book_ships() {
    let (shop, order) = charged_unknown(Duration::from_mins(5)).await;
    shop.simulator.set_outage(Port::Payment, false);
    let engine = shop.fulfilment.engine();
    let typed = paid_as("what kim typed", true);
    engine.resolve(order, "pay", typed, &why()).await.unwrap();
    shop.until(order, |saga| saga.state.is_done("ship")).await;
    assert_eq!(reference(&shop, order).await, "what kim typed");
    assert_eq!(
        codes(&compare(&shop, Mode::Automatic).await),
        [("charge-by-another-name", Action::Parked)]
    );
    assert_eq!(count(&shop.effects(order), Op::Refund), 0);
}

#[tokio::test]
async fn an_attempt_that_is_due_anyway_counts_as_one_to_come() {
    let (shop, order) = charged_unknown(Duration::from_millis(900)).await;
    let engine = shop.fulfilment.engine();
    // While an attempt is under way there is none to come: ask until nothing happened in between.
    for _ in 0..1_000 {
        let waiting = shop.until(order, is_between_attempts).await;
        let urged = engine.urge(order, &["pay"], &why()).await.unwrap();
        let log = shop.store.read_related(order).await.unwrap();
        let saga = log
            .iter()
            .filter(|event| event.stream.category.as_str() == "saga");
        if saga.map(|event| event.version).max() == Some(waiting.version) {
            assert!(urged);
            return;
        }
    }
    panic!("it never waits:\n{}", shop.tell(order).await);
}

#[tokio::test]
async fn a_refund_at_the_dashboard_and_its_cancel_are_one_append() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    plant_refund(&shop, order, &reference(&shop, order).await).await;
    compare(&shop, Mode::Automatic).await;
    shop.at_rest(order).await;
    let log = shop.store.read_related(order).await.unwrap();
    let at = |wanted: &str, step: Option<&str>| {
        let is = |event: &&eventstore::RecordedEvent| {
            let about = step.is_none_or(|step| event.data.get().contains(&format!("\"{step}\"")));
            &*event.event_type == wanted && about
        };
        log.iter().find(is).map(|event| event.position).unwrap()
    };
    // The saga's own events are the last of an append, so the request lies between the refund and the saga's word for it.
    let asked = at("OrderCancelRequested", None);
    assert!(at("PayCanceled", None) < asked && asked < at("StepDone", Some("refund")));
    shop.close().await;
}

/// A refund that was recorded by somebody who was cut off before calling off the rest.
async fn half_imported(shop: &Shop, order: Uuid) {
    let charge = reference(shop, order).await;
    plant_refund(shop, order, &charge).await;
    let engine = shop.fulfilment.engine();
    let output = json!({ "ref": "half", "amount": TOTAL, "currency": "KRW" });
    let why = why();
    let found = engine.found(order, "refund", &output, &why, |_| true);
    assert!(found.await.unwrap());
}

#[tokio::test]
async fn a_refund_on_record_of_an_order_that_goes_on_has_it_called_off() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    half_imported(&shop, order).await;
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report).len(), 1, "{report:?}");
    assert_eq!(codes(&report)[0].0, "refunded-outside");
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert_eq!(count(&shop.effects(order), Op::Cancel), 1);
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
}

#[tokio::test]
async fn a_refund_on_record_of_a_parcel_that_left_is_parked() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator.scan(order, Scan::HandOver, false).await;
    shop.fulfilment.scanned(order);
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    half_imported(&shop, order).await;
    let expected = |action| [("refunded-and-shipped", action)];
    assert_eq!(
        codes(&compare(&shop, Mode::Automatic).await),
        expected(Action::Parked)
    );
    assert_eq!(
        codes(&compare(&shop, Mode::Automatic).await),
        expected(Action::UnderWay)
    );
}

#[tokio::test]
async fn money_kept_of_a_canceled_order_is_found_although_its_saga_is_over() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);
    shop.at_rest(order).await;
    let undone = Finding {
        outcome: Verdict::Undone,
        evidence: serde_json::Value::Null,
        force: true,
    };
    let engine = shop.fulfilment.engine();
    engine
        .resolve(order, "refund", undone, &why())
        .await
        .unwrap();
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(
        (end.state.phase, kept(&shop, order).await),
        (Phase::Unwound, TOTAL)
    );
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("canceled-and-kept", Action::Parked)]);
    let parked = shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
}

/// A part of a charge goes back by somebody at the provider's dashboard.
pub(super) async fn return_a_part(shop: &Shop, order: Uuid, key: &str, amount: i64) {
    let refund = Refund {
        key: key.to_owned(),
        order_id: order,
        charge_ref: reference(shop, order).await,
        charged_after: Utc::now(),
        amount: Money::new(amount, Currency::KRW),
    };
    let answer = shop.simulator.refund(refund).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

#[tokio::test]
async fn a_mismatch_that_grew_after_it_was_settled_is_parked_again() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    return_a_part(&shop, order, "first", 1_000).await;
    let first = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&first), [("partly-refunded", Action::Parked)]);
    let settled = first.findings[0].saga_id.unwrap();
    shop.at_rest(settled).await;
    let agreed = Finding {
        outcome: Verdict::Done,
        evidence: serde_json::Value::Null,
        force: false,
    };
    let engine = shop.fulfilment.engine();
    engine
        .resolve(settled, "settle", agreed, &why())
        .await
        .unwrap();
    // The same again is no news.
    let same = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&same), [("partly-refunded", Action::UnderWay)]);
    return_a_part(&shop, order, "second", 500).await;
    let more = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&more), [("partly-refunded", Action::Parked)]);
    let parked = shop.at_rest(more.findings[0].saga_id.unwrap()).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, 1_500);
    let books = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    assert_eq!(books.mismatches.len(), 1, "the first one is settled");
}

#[tokio::test]
async fn a_charge_that_went_back_in_two_halves_on_two_days_is_a_refund_and_nothing_ships() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    return_a_part(&shop, order, "first", TOTAL / 2).await;
    let half = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&half), [("partly-refunded", Action::Parked)]);
    let settled = half.findings[0].saga_id.unwrap();
    shop.at_rest(settled).await;
    let agreed = Finding {
        outcome: Verdict::Done,
        evidence: serde_json::Value::Null,
        force: false,
    };
    let engine = shop.fulfilment.engine();
    engine
        .resolve(settled, "settle", agreed, &why())
        .await
        .unwrap();
    // The next comparison's records begin after the first half, and show as much as they did then.
    let later = Utc::now();
    return_a_part(&shop, order, "second", TOTAL / 2).await;
    let pace = Pace {
        grace: Duration::ZERO,
        margin: Duration::ZERO,
        ..Pace::default()
    };
    let ask = Ask {
        since: Some(later),
        mode: Mode::Automatic,
        why: why(),
    };
    let reconciler = Reconciler::new(shop.fulfilment.clone(), pace);
    let whole = reconciler.run(&ask).await.unwrap();
    assert_eq!(codes(&whole), [("refunded-outside", Action::Fixed)]);
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert_eq!(kept(&shop, order).await, 0);
    assert_eq!(count(&shop.effects(order), Op::Cancel), 1);
}

#[tokio::test]
async fn what_one_comparison_may_not_do_any_more_the_next_one_begins_with() {
    let shop = Shop::open().await;
    let mut orders = Vec::new();
    for key in ["a", "b", "c"] {
        let order = shop.shipped(key).await;
        plant_charge(&shop, order, &format!("second window of {key}")).await;
        orders.push(order);
    }
    let pace = Pace {
        grace: Duration::ZERO,
        at_once: 1,
        ..Pace::default()
    };
    let reconciler = Reconciler::new(shop.fulfilment.clone(), pace);
    let ask = Ask {
        since: None,
        mode: Mode::Automatic,
        why: why(),
    };
    for left in [2, 1, 0] {
        let report = reconciler.run(&ask).await.unwrap();
        assert_eq!(report.left, left, "{report:?}");
        let fixed = |report: &Report| {
            let fixed = report
                .findings
                .iter()
                .filter(|entry| entry.action == Action::Fixed);
            fixed.filter_map(|entry| entry.saga_id).collect::<Vec<_>>()
        };
        let [saga] = fixed(&report)[..] else {
            panic!("{report:?}")
        };
        shop.at_rest(saga).await;
    }
    for order in orders {
        assert_eq!(count(&shop.effects(order), Op::Refund), 1);
    }
    shop.close().await;
}

#[tokio::test]
async fn a_canceled_parcel_that_is_taken_along_hours_later_is_found_by_asking() {
    let shop = Shop::open().await;
    let (order, other) = (shop.shipped("a").await, shop.shipped("b").await);
    assert!(matches!(
        shop.cancel(order).await,
        CancelAnswer::Canceled { .. }
    ));
    shop.at_rest(order).await;
    let mut called_off = CalledOff::new(shop.fulfilment.clone());
    assert_eq!(
        called_off.look(Utc::now()).await.unwrap(),
        0,
        "it is too early"
    );
    assert!(shop.simulator.scan(order, Scan::HandOver, true).await);
    let later = Utc::now() + TimeDelta::hours(3);
    assert_eq!(called_off.look(later).await.unwrap(), 1, "and not {other}");
    shop.until(order, |saga| saga.state.status() == Status::Parked)
        .await;
    let story = shop.story(order).await;
    assert!(story.contains(&"DeliveryException".to_owned()), "{story:?}");
    assert_eq!(
        called_off.look(later).await.unwrap(),
        0,
        "it was just looked at"
    );
    let much_later = later + TimeDelta::days(8);
    assert_eq!(
        called_off.look(much_later).await.unwrap(),
        0,
        "no van comes any more"
    );
    shop.close().await;
}
