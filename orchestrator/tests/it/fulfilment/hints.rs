//! What providers tell of their own accord: a hint, written down once, and the provider is asked.

use std::time::Duration;

use aggregates::saga::{Phase, Status};
use orchestrator::fulfilment::hints::{About, Claim, Claimed, Heard, Port, Taken};
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::Mode;
use orchestrator::providers::simulator::ledger::{self, Op};
use orchestrator::providers::simulator::{Fault, Scan};
use orchestrator::saga::engine;
use orchestrator::saga::view::Snapshot;
use uuid::Uuid;

use super::reconciles::{codes, compare};
use super::shop::{STUCK, Setup, Shop};

fn heard(port: Port, saga: Uuid, delivery: &str) -> Heard {
    Heard {
        port,
        provider: "toss",
        delivery: delivery.to_owned(),
        unnamed: false,
        topic: "PAYMENT_STATUS_CHANGED".into(),
        status: None,
        about: About::Saga(saga),
        claim: None,
    }
}

async fn webhooks(shop: &Shop) -> usize {
    let log = shop.log().await;
    log.iter()
        .filter(|event| event.stream.category.as_str() == "webhook")
        .count()
}

/// Nobody asks again by themselves within a test.
fn patient() -> Setup {
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_secs(1),
        retry_first: Duration::from_mins(5),
        retry_cap: Duration::from_mins(5),
        ..setup.limits
    };
    Setup { limits, ..setup }
}

#[tokio::test]
async fn a_delivery_is_written_down_once() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let said = heard(Port::Payments, order, "d-1");
    assert_eq!(
        shop.fulfilment.hear(said.clone()).await.unwrap(),
        Taken::PassedOn
    );
    assert_eq!(shop.fulfilment.hear(said).await.unwrap(), Taken::Repeated);
    assert_eq!(webhooks(&shop).await, 1);
    shop.close().await;
}

#[tokio::test]
async fn a_repeat_is_passed_on_since_whoever_wrote_it_down_may_have_been_cut_off() {
    let shop = Shop::with(patient()).await;
    let order = shop.charged_unknown("a").await;
    shop.simulator.set_outage(ledger::Port::Payment, false);
    let dying = shop.another(engine::Options::default());
    dying.engine().halt();
    let said = heard(Port::Payments, order, "d-1");
    dying.hear(said.clone()).await.unwrap();
    let log = shop.log().await.len();
    assert_eq!(webhooks(&shop).await, 1);
    assert_eq!(shop.fulfilment.hear(said).await.unwrap(), Taken::Repeated);
    shop.until(order, |saga| saga.state.is_done("pay")).await;
    assert_eq!(webhooks(&shop).await, 1);
    assert!(shop.log().await.len() > log);
    shop.close().await;
}

#[tokio::test]
async fn a_hint_about_a_message_leaves_its_order_waiting_for_the_van() {
    let shop = Shop::with(patient()).await;
    shop.simulator.set_outage(ledger::Port::Kakao, true);
    let order = shop.paid("a").await;
    let tried = |saga: &Snapshot, times| {
        let notify = saga.state.step("notify");
        notify.is_some_and(|it| it.attempt == times && !it.is_running())
    };
    shop.until(order, |saga| tried(saga, 1)).await;
    let hint = |delivery| shop.fulfilment.hear(heard(Port::Kakao, order, delivery));
    hint("d-1").await.unwrap();
    shop.until(order, |saga| tried(saga, 2)).await;
    shop.simulator.set_outage(ledger::Port::Kakao, false);
    hint("d-2").await.unwrap();
    let told = shop.until(order, |saga| saga.state.is_done("notify")).await;
    assert_eq!(told.state.status(), Status::Waiting);
    let due = told.state.due_at().unwrap();
    assert_eq!(Some(due), told.state.step("handover").unwrap().timer());
    shop.close().await;
}

#[tokio::test]
async fn an_unknown_payment_is_asked_about_as_soon_as_the_provider_says_something() {
    let shop = Shop::with(patient()).await;
    let order = shop.charged_unknown("a").await;
    shop.simulator.set_outage(ledger::Port::Payment, false);
    shop.fulfilment
        .hear(heard(Port::Payments, order, "d-1"))
        .await
        .unwrap();
    shop.until(order, |saga| saga.state.is_done("pay")).await;
    assert_eq!(shop.effects(order)[0], Op::Charge);
    shop.close().await;
}

#[tokio::test]
async fn a_lie_moves_nothing() {
    let shop = Shop::with(patient()).await;
    let (sold, canceled) = (shop.shipped("a").await, shop.shipped("b").await);
    shop.cancel(canceled).await;
    shop.at_rest(canceled).await;
    let marker = shop.charged_unknown("marker").await;
    shop.simulator.set_outage(ledger::Port::Payment, false);
    let known = async |order| {
        let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
        (shop.story(order).await, shop.effects(order), payment)
    };
    let before = (known(sold).await, known(canceled).await);
    let mut delivery = 0;
    for order in [sold, canceled] {
        let real = known(order).await.2.charges[0].provider_ref.clone();
        for charge in [real, "a-charge-that-never-was".to_owned()] {
            for state in [
                Claimed::Charged,
                Claimed::Returned,
                Claimed::Nothing,
                Claimed::Other,
            ] {
                for port in [Port::Payments, Port::Deliveries] {
                    delivery += 1;
                    let claim = Claim {
                        charge: Some(charge.clone()),
                        state,
                    };
                    let said = Heard {
                        claim: Some(claim),
                        ..heard(port, order, &format!("lie-{delivery}"))
                    };
                    let taken = shop.fulfilment.hear(said).await.unwrap();
                    assert_eq!(taken, Taken::PassedOn);
                }
            }
        }
    }
    // Hints are acted on one after the other: when this one has moved its order, all the lies have been acted on.
    let truth = heard(Port::Payments, marker, "truth");
    shop.fulfilment.hear(truth).await.unwrap();
    shop.until(marker, |saga| saga.state.is_done("ship")).await;
    // What they made suspicious is compared, and charges that they denied are asked about.
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), []);
    assert!(shop.fulfilment.engine().drain(STUCK).await);
    assert_eq!((known(sold).await, known(canceled).await), before);
    assert_eq!(webhooks(&shop).await, delivery + 1);
    shop.close().await;
}

#[tokio::test]
async fn a_parcels_scan_is_looked_at_when_the_carrier_says_so() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    shop.simulator.scan(order, Scan::HandOver, false).await;
    shop.fulfilment
        .hear(heard(Port::Deliveries, order, "d-1"))
        .await
        .unwrap();
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn a_hint_about_an_order_that_comes_later_is_kept_and_passed_on() {
    let shop = Shop::with(patient()).await;
    let order = Shop::id("a");
    shop.simulator.script(Op::Charge, order, Fault::LoseReply);
    let said = heard(Port::Payments, order, "early");
    assert_eq!(
        shop.fulfilment.hear(said.clone()).await.unwrap(),
        Taken::Kept
    );
    assert_eq!(shop.fulfilment.hear(said).await.unwrap(), Taken::Repeated);
    let kept = aggregates::ids::webhook_id("toss", "early");
    shop.until(kept, |saga| saga.state.due_at().is_some()).await;
    shop.place("a", "ok").await;
    shop.until(order, |saga| saga.state.is_done("pay")).await;
    let over = shop.at_rest(kept).await;
    assert_eq!(over.state.phase, Phase::Completed);
    shop.close().await;
}

#[tokio::test]
async fn what_is_about_nothing_of_ours_is_written_down_and_forgotten() {
    let shop = Shop::open().await;
    let said = Heard {
        about: About::Nothing,
        ..heard(Port::Payments, Uuid::nil(), "payout")
    };
    assert_eq!(shop.fulfilment.hear(said).await.unwrap(), Taken::Noted);
    assert_eq!(webhooks(&shop).await, 1);
    shop.close().await;
}
