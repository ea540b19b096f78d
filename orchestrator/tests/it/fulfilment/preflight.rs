//! Before a new build takes over: it knows every saga that this one starts.

use std::collections::BTreeSet;

use orchestrator::fulfilment::hints::{About, Heard, Port, Taken};
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::{Ask, Mode, Pace, Reconciler};
use orchestrator::fulfilment::{Sagas, known_sagas};
use orchestrator::saga::preflight::{Known, preflight};
use orchestrator::saga::verbs::Request;
use uuid::Uuid;

use super::reconciles::plant_charge;
use super::shop::Shop;

fn told(known: &Known) -> (&'static str, u32, Vec<&'static str>) {
    let steps = known.definition.steps().map(|step| step.name);
    (known.name, known.version, steps.collect())
}

#[tokio::test]
async fn preflight_knows_every_saga_that_the_engine_is_given() {
    let shop = Shop::open().await;
    let running = Sagas::new(&shop.parts()).list();
    let running: BTreeSet<_> = running
        .iter()
        .map(|saga| told(&Known::of(saga.as_ref())))
        .collect();
    let known: BTreeSet<_> = known_sagas(&Limits::default()).iter().map(told).collect();
    assert_eq!(known, running);
    shop.close().await;
}

#[tokio::test]
async fn preflight_passes_with_a_waiting_hint_and_a_parked_mismatch() {
    let shop = Shop::open().await;
    let early = Heard {
        port: Port::Payments,
        provider: "toss",
        delivery: "d-1".into(),
        unnamed: false,
        topic: "PAYMENT_STATUS_CHANGED".into(),
        status: None,
        about: About::Saga(Uuid::now_v7()),
        claim: None,
    };
    assert_eq!(shop.fulfilment.hear(early).await.unwrap(), Taken::Kept);
    plant_charge(&shop, Uuid::now_v7(), "of nobody").await;
    let ask = Ask {
        since: None,
        mode: Mode::Automatic,
        why: Request {
            actor: "auditor".into(),
            reason: "closing".into(),
        },
    };
    let reconciler = Reconciler::new(shop.fulfilment.clone(), Pace::default());
    let report = reconciler.run(&ask).await.unwrap();
    shop.at_rest(report.findings[0].saga_id.unwrap()).await;
    let report = preflight(&shop.store, &known_sagas(&Limits::default()), |_| {})
        .await
        .unwrap();
    assert_eq!((report.running, report.listed), (2, vec![]));
}
