//! The sagas of one step go through the same: what is remembered, asked about, given back and left to people.

use std::sync::Arc;

use aggregates::Decider;
use aggregates::money::{Currency, Money};
use aggregates::payment::{self, Payment};
use aggregates::saga::Phase;
use chrono::Utc;
use eventstore::Expected;
use eventstore::testing::TestLog;
use futures_util::future::BoxFuture;
use orchestrator::execute::{Aggregate, to_stream};
use orchestrator::fulfilment::Fulfilment;
use orchestrator::providers::ports::Found;
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::saga::definition::Saga;
use orchestrator::saga::engine;
use orchestrator::saga::view::Snapshot;
use serde_json::{Value, json};
use uuid::Uuid;

use super::denials::{self, Till, mismatches};
use super::reconciles::{count, plant_charge};
use super::shop::{Shop, TOTAL};
use crate::harness::{Start, Suite, Trial, World};

const PRICE: Money = Money::new(TOTAL, Currency::KRW);

/// A shop and one of its sagas, which is driven by engines that are not the shop's.
struct Corner {
    shop: Shop,
    saga: Arc<dyn Saga>,
    /// An order of the shop.
    order: Uuid,
    /// Whoever answers what the saga asks.
    _process: Fulfilment,
}

impl Corner {
    async fn of(name: &str, shop: Shop) -> Self {
        let order = shop.shipped("a").await;
        let mut sagas = Vec::new();
        let process = Fulfilment::with_sagas(shop.parts(), engine::Options::default(), |own| {
            sagas.clone_from(&own);
            own
        })
        .unwrap();
        let saga = sagas.into_iter().find(|saga| saga.name() == name);
        Self {
            shop,
            saga: saga.unwrap(),
            order,
            _process: process,
        }
    }
}

fn begins(input: Value) -> BoxFuture<'static, Start> {
    let domain = Vec::new();
    Box::pin(async move { Start { input, domain } })
}

fn is_over(rest: &Snapshot) -> Result<(), String> {
    match rest.state.phase {
        Phase::Completed | Phase::Unwound => Ok(()),
        phase => Err(format!("it rests in {phase:?}")),
    }
}

struct Hint(Corner);

impl World for Hint {
    fn saga(&self) -> Arc<dyn Saga> {
        Arc::clone(&self.0.saga)
    }

    fn start(&self, _: Uuid) -> BoxFuture<'_, Start> {
        let about = json!({ "saga": self.0.order });
        begins(json!({ "port": "payments", "topic": "DEPOSIT_CALLBACK", "about": about }))
    }

    fn check<'a>(&'a self, _: &'a Trial, rest: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { is_over(rest) })
    }
}

struct Denial(Corner);

impl World for Denial {
    fn saga(&self) -> Arc<dyn Saga> {
        Arc::clone(&self.0.saga)
    }

    fn start(&self, _: Uuid) -> BoxFuture<'_, Start> {
        Box::pin(async move {
            let payment = self.0.shop.fulfilment.payment(self.0.order).await;
            let charges = payment.unwrap().unwrap().value.charges;
            let charge_ref = &charges[0].provider_ref;
            begins(json!({ "orderId": self.0.order, "chargeRef": charge_ref })).await
        })
    }

    fn check<'a>(&'a self, _: &'a Trial, rest: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            is_over(rest)?;
            // However many ask, and however often, it is one mismatch.
            let found = mismatches(&self.0.shop, self.0.order).await;
            let asked = rest.state.phase == Phase::Completed;
            if found.len() > 1 || asked && found.is_empty() {
                return Err(format!("it came to {found:?}"));
            }
            Ok(())
        })
    }
}

struct Mismatch(Corner);

impl World for Mismatch {
    fn saga(&self) -> Arc<dyn Saga> {
        Arc::clone(&self.0.saga)
    }

    fn start(&self, _: Uuid) -> BoxFuture<'_, Start> {
        begins(json!({
            "orderId": self.0.order, "customerId": null, "code": "charge-differs", "reference": "pay-1",
            "provider": "charged 1", "reason": "They differ.", "suggestion": "Ask.", "atStake": PRICE, "actor": "reconciler",
        }))
    }

    fn check<'a>(&'a self, _: &'a Trial, rest: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let settle = rest.state.step("settle");
            let parked = settle.and_then(|step| step.parked.as_ref());
            match parked {
                Some(parked)
                    if parked
                        .at_stake
                        .as_ref()
                        .is_some_and(|it| it.amount == TOTAL) =>
                {
                    Ok(())
                }
                Some(parked) => Err(format!("it is parked as {parked:?}")),
                // Somebody called it off.
                None => (rest.state.phase == Phase::Unwound)
                    .then_some(())
                    .ok_or_else(|| format!("nobody is asked: {:?}", rest.state.phase)),
            }
        })
    }
}

struct Return(Corner);

impl World for Return {
    fn saga(&self) -> Arc<dyn Saga> {
        Arc::clone(&self.0.saga)
    }

    /// Each gives back a charge of an order of its own, which has its name.
    fn start(&self, id: Uuid) -> BoxFuture<'_, Start> {
        Box::pin(async move {
            let charge_ref = plant_charge(&self.0.shop, id, &format!("{id}:planted")).await;
            let command = payment::Command {
                order_id: id,
                customer_id: "33".into(),
                at: Utc::now(),
                action: payment::Action::RecordExcess {
                    money: PRICE,
                    provider_ref: charge_ref.clone(),
                },
            };
            let events = Payment::decide(&None, &command).unwrap();
            let books = to_stream(Payment::CATEGORY, id, Expected::NoStream, events, id);
            let input = json!({
                "orderId": id, "customerId": "33", "chargeRef": charge_ref, "amount": TOTAL, "currency": "KRW",
                "chargedAt": Utc::now(), "actor": "reconciler", "reason": "second-charge",
            });
            Start {
                input,
                domain: vec![books],
            }
        })
    }

    fn check<'a>(&'a self, _: &'a Trial, rest: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let refunds = count(&self.0.shop.effects(rest.id), Op::Refund);
            let told = rest.history.events();
            let told = told.filter(|event| &*event.event_type == "ExcessReturned");
            let told = told.count();
            if refunds > 1 || told != refunds {
                return Err(format!(
                    "it went back {refunds} times, and is told {told} times"
                ));
            }
            if rest.state.phase == Phase::Completed && refunds == 0 {
                return Err("it is over, and nothing went back".to_owned());
            }
            Ok(())
        })
    }
}

/// Everything but what only steps with an effect can meet.
async fn survives(world: impl World) {
    let world: Arc<dyn World> = Arc::new(world);
    for log in [TestLog::sqlite(), TestLog::postgres()] {
        let suite = Suite::new(Arc::clone(&world), log).await;
        assert!(suite.every_step_twice().await > 1);
        assert!(suite.every_fault_forward().await > 5);
        assert!(suite.a_crash_at_every_point().await > 1);
        assert!(suite.a_crash_at_every_point_with_silent_effects().await > 1);
        assert!(suite.a_cancel_at_every_point().await > 1);
        assert!(suite.a_cancel_then_a_crash().await > 1);
        assert_eq!(suite.a_frozen_owner_at_each_step().await, 2);
    }
}

#[tokio::test]
async fn a_hint_that_is_kept_survives_everything() {
    survives(Hint(Corner::of("hint", Shop::open().await).await)).await;
}

#[tokio::test]
async fn a_doubt_about_a_charge_survives_everything_and_comes_to_one_mismatch() {
    let shop = denials::shop(|simulator| {
        let answer = || Some(Found::Nothing);
        Arc::new(Till { simulator, answer })
    })
    .await;
    survives(Denial(Corner::of("denied-charge", shop).await)).await;
}

#[tokio::test]
async fn a_mismatch_survives_everything_and_waits_for_a_person() {
    survives(Mismatch(Corner::of("mismatch", Shop::open().await).await)).await;
}

#[tokio::test]
async fn a_charge_that_nobody_owes_goes_back_once_whatever_happens() {
    survives(Return(
        Corner::of("return-charge", Shop::open().await).await,
    ))
    .await;
}
