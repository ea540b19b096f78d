//! What is there to set something right cannot be made to vanish.

use aggregates::saga::{
    CancelRequested, Cause, CauseKind, Parked, Phase, SagaEvent, SagaUnwound, UnwindStarted,
    Verdict, encode,
};
use chrono::Utc;
use eventstore::{Expected, NewEvent, StreamAppend};
use orchestrator::fulfilment::reconcile::Mode;
use orchestrator::fulfilment::reconcile::report::Action;
use orchestrator::providers::simulator::Fault;
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::saga::verbs::{Finding, Request, Selection, Verb, VerbError};
use orchestrator::saga::view::Snapshot;
use serde_json::json;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::mismatches::return_a_part;
use super::reconciles::{codes, compare, count, kept, plant_charge};
use super::shop::{Shop, TOTAL};

fn why() -> Request {
    Request {
        actor: "kim".into(),
        reason: "clearing the list".into(),
    }
}

/// Asks for it as a request for many does: about the step that the saga hangs on.
async fn is_not_taken(shop: &Shop, saga: Uuid, verb: Verb) -> bool {
    let (engine, all) = (shop.fulfilment.engine(), Selection::default());
    let answer = engine.act(saga, &verb, None, &all, &why()).await;
    let rehearsed = engine.rehearse(saga, &verb, None, &all, &why()).await;
    let not_taken = matches!(answer, Err(VerbError::NotApplicable { .. }));
    not_taken && matches!(rehearsed, Err(VerbError::NotApplicable { .. }))
}

fn parked(saga: &Snapshot) -> Option<&Parked> {
    saga.state.current()?.parked.as_ref()
}

/// The saga that is to give a second charge back, while its provider does not take it back.
async fn return_refused(shop: &Shop, order: Uuid, mode: Mode) -> Uuid {
    plant_charge(shop, order, "second window").await;
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
    let report = compare(shop, mode).await;
    let saga = report.findings[0].saga_id.unwrap();
    assert_eq!(report.findings[0].action, Action::Fixed);
    shop.until(saga, |saga| parked(saga).is_some()).await;
    saga
}

#[tokio::test]
async fn a_charge_that_is_to_go_back_can_neither_be_canceled_nor_left_out_nor_kept() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let saga = return_refused(&shop, order, Mode::Automatic).await;
    assert!(is_not_taken(&shop, saga, Verb::Cancel).await);
    assert!(is_not_taken(&shop, saga, Verb::Skip).await);
    let engine = shop.fulfilment.engine();
    let kept_for_good = Finding {
        outcome: Verdict::Undone,
        evidence: json!(null),
        force: true,
    };
    engine
        .resolve(saga, "return-charge", kept_for_good, &why())
        .await
        .unwrap();
    let still = shop
        .until(saga, |saga| {
            parked(saga).is_some_and(|parked| parked.code == "resolved-undone")
        })
        .await;
    assert_eq!(still.state.at_stake().unwrap().amount, TOTAL);
    engine.retry(saga, "return-charge", &why()).await.unwrap();
    let end = shop.until(saga, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Completed);
    assert_eq!(count(&shop.effects(order), Op::Refund), 1);
    assert_eq!(kept(&shop, order).await, TOTAL);
    shop.close().await;
}

#[tokio::test]
async fn a_mismatch_cannot_be_canceled_only_settled() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    return_a_part(&shop, order, "first", 1_000).await;
    let report = compare(&shop, Mode::Automatic).await;
    let saga = report.findings[0].saga_id.unwrap();
    shop.at_rest(saga).await;
    assert!(is_not_taken(&shop, saga, Verb::Cancel).await);
    let still = shop.at_rest(saga).await;
    assert_eq!(still.state.at_stake().unwrap().amount, 1_000);
    let engine = shop.fulfilment.engine();
    engine.skip(saga, "settle", &why()).await.unwrap();
    shop.until(saga, |saga| saga.state.is_finished()).await;
    let story = shop.story(order).await;
    assert!(story.contains(&"MismatchSettled".into()), "{story:?}");
}

/// As older builds let people end it: nothing went back, and nothing is parked.
async fn ended_by_an_older_build(shop: &Shop, saga: Uuid) {
    let (at, actor) = (Utc::now(), "kim".to_owned());
    let asked = CancelRequested {
        reason: String::new(),
        actor: actor.clone(),
        at,
    };
    let cause = Cause {
        kind: CauseKind::Cancel,
        step: None,
        code: "cancel".into(),
        reason: String::new(),
    };
    let events: [SagaEvent; 3] = [
        asked.into(),
        UnwindStarted { cause, actor, at }.into(),
        SagaUnwound { at }.into(),
    ];
    let events = events.iter().map(|event| NewEvent {
        event_id: Uuid::now_v7(),
        event_type: event.event_type().into(),
        schema_version: 1,
        data: encode(event).unwrap(),
        metadata: to_raw_value(&json!({})).unwrap(),
    });
    let parked = shop.at_rest(saga).await;
    let append = StreamAppend {
        stream: parked.stream(),
        expected: Expected::At(parked.version),
        events: events.collect(),
    };
    shop.store.append(vec![append]).await.unwrap();
}

#[tokio::test]
async fn a_charge_that_nobody_gives_back_any_more_is_found_again_and_parked_once() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let saga = return_refused(&shop, order, Mode::Automatic).await;
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    ended_by_an_older_build(&shop, saga).await;
    for action in [Action::Parked, Action::UnderWay] {
        let report = compare(&shop, Mode::Automatic).await;
        assert_eq!(codes(&report), [("return-given-up", action)]);
        let parked = shop.at_rest(report.findings[0].saga_id.unwrap()).await;
        assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
    }
}

#[tokio::test]
async fn a_charge_of_an_order_that_nobody_knows_is_parked_when_its_return_was_given_up() {
    let shop = Shop::open().await;
    let nobody = Uuid::now_v7();
    let saga = return_refused(&shop, nobody, Mode::Requested).await;
    ended_by_an_older_build(&shop, saga).await;
    let report = compare(&shop, Mode::Requested).await;
    assert_eq!(codes(&report), [("unknown-order", Action::Parked)]);
    let parked = shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    assert_eq!(parked.state.at_stake().unwrap().amount, TOTAL);
}
