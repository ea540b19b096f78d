//! What takes too long although everybody answers: a person is told, with what is at stake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::money::Money;
use aggregates::saga::{OVERDUE, Parked, Status};
use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::Mode;
use orchestrator::fulfilment::reconcile::report::Action;
use orchestrator::providers::guard::{Policy, Position};
use orchestrator::providers::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund,
};
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::providers::simulator::{Scan, Simulator};
use orchestrator::saga::verbs::Request;
use orchestrator::saga::view::Snapshot;
use uuid::Uuid;

use super::cancels::{NOT_AT_ALL, is_canceled};
use super::reconciles::{codes, compare, plant_charge};
use super::shop::{Setup, Shop, TOTAL};

/// A payment provider that answers everything and decides nothing while it is ill.
#[derive(Clone)]
struct Ill {
    simulator: Simulator,
    ill: Arc<AtomicBool>,
    /// Under which refunds were asked for while it was ill.
    keys: Arc<Mutex<Vec<String>>>,
}

impl Ill {
    fn is_ill(&self) -> bool {
        self.ill.load(Ordering::SeqCst)
    }

    fn heal(&self) {
        self.ill.store(false, Ordering::SeqCst);
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }
}

impl PaymentPort for Ill {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Answer<MoneyMoved>> {
        if !self.is_ill() {
            return self.simulator.charge(charge);
        }
        let reason = "another amount was charged than was asked for".to_owned();
        async move { Answer::Undecided(reason) }.boxed()
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
        if !self.is_ill() {
            return PaymentPort::probe(&self.simulator, order_id, key);
        }
        let amount = Money::new(100, aggregates::money::Currency::KRW);
        let reference = "charged-in-another-window".to_owned();
        async move { Found::Done(MoneyMoved { reference, amount }) }.boxed()
    }

    fn find(&self, charge: ChargeName) -> BoxFuture<'_, Found<ChargeNow>> {
        self.simulator.find(charge)
    }

    fn refund(&self, refund: Refund) -> BoxFuture<'_, Answer<MoneyMoved>> {
        if !self.is_ill() {
            return self.simulator.refund(refund);
        }
        self.keys.lock().unwrap().push(refund.key);
        let reason = "the bank failed".to_owned();
        async move {
            Answer::Spent {
                reason,
                faulty: false,
            }
        }
        .boxed()
    }

    fn probe_refund(&self, refund: Refund) -> BoxFuture<'_, Found<MoneyMoved>> {
        self.simulator.probe_refund(refund)
    }

    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<MoneyRecord>>> {
        PaymentPort::records(&self.simulator, since, cursor)
    }
}

/// A shop that pays through such a provider, and in which nothing takes long.
async fn shop(ill: bool, limits: Limits) -> (Shop, Ill) {
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    shop_with(ill, setup).await
}

async fn shop_with(ill: bool, setup: Setup) -> (Shop, Ill) {
    let made = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&made);
    let setup = Setup {
        till: Box::new(move |simulator| {
            let provider = Ill {
                simulator,
                ill: Arc::new(AtomicBool::new(ill)),
                keys: Arc::default(),
            };
            *keep.lock().unwrap() = Some(provider.clone());
            Arc::new(provider)
        }),
        ..setup
    };
    let shop = Shop::with(setup).await;
    let provider = made.lock().unwrap().take().unwrap();
    (shop, provider)
}

fn parked<'a>(saga: &'a Snapshot, step: &str) -> Option<&'a Parked> {
    saga.state.step(step)?.parked.as_ref()
}

fn request() -> Request {
    Request {
        actor: "operator".into(),
        reason: "the bank is back".into(),
    }
}

#[tokio::test]
async fn a_charge_of_another_amount_is_left_to_a_person_with_the_total_at_stake() {
    let limits = Limits {
        payment_budget: Duration::from_millis(50),
        payment_deadline: Duration::from_millis(300),
        undecided: Duration::from_millis(100),
        ..Setup::default().limits
    };
    let (shop, provider) = shop(true, limits).await;
    shop.place("a", "ok").await;
    let order = Shop::id("a");
    let saga = shop
        .until(order, |saga| parked(saga, "pay").is_some())
        .await;
    assert_eq!(saga.state.status(), Status::Parked);
    let known = parked(&saga, "pay").unwrap();
    assert_eq!(known.code, OVERDUE);
    assert!(known.reason.contains("another amount"), "{known:?}");
    assert_eq!(known.at_stake.as_ref().unwrap().amount, TOTAL);
    // A cancel looks once more, and leaves it to the person again.
    let attempts = saga.state.step("pay").unwrap().attempt;
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    shop.until(order, |saga| {
        let looked = saga.state.step("pay").unwrap().attempt > attempts;
        looked && parked(saga, "pay").is_some() && saga.state.is_at_rest()
    })
    .await;
    // The person gave the wrong charge back at the provider: nothing is charged, nothing is to be undone.
    provider.heal();
    let engine = shop.fulfilment.engine();
    engine.retry(order, "pay", &request()).await.unwrap();
    shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(shop.effects(order), []);
    shop.close().await;
}

/// A deposit that comes hours after everybody stopped looking, and whose webhook is lost.
#[tokio::test]
async fn a_charge_that_comes_after_the_order_was_given_up_for_overdue_is_found_in_the_books() {
    let limits = Limits {
        payment_budget: Duration::from_millis(50),
        payment_deadline: Duration::from_millis(300),
        undecided: Duration::from_millis(100),
        ..Setup::default().limits
    };
    let (shop, provider) = shop(true, limits).await;
    let mut orders = Vec::new();
    for key in ["stands", "canceled"] {
        shop.place(key, "ok").await;
        let order = Shop::id(key);
        if key == "canceled" {
            assert_eq!(
                shop.cancel_within(order, NOT_AT_ALL).await,
                CancelAnswer::Canceling
            );
        }
        shop.until(order, |saga| {
            parked(saga, "pay").is_some() && saga.state.is_at_rest()
        })
        .await;
        plant_charge(&shop, order, &format!("{order}:pay")).await;
        orders.push(order);
    }
    provider.heal();
    let unseen = [
        ("charge-unseen", Action::Fixed),
        ("charge-unseen", Action::Fixed),
    ];
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), unseen);
    shop.until(orders[0], |saga| saga.state.is_done("ship"))
        .await;
    shop.until(orders[1], |saga| saga.state.is_finished()).await;
    assert_eq!(shop.effects(orders[0]), [Op::Charge, Op::Ship]);
    assert_eq!(shop.effects(orders[1]), [Op::Charge, Op::Refund]);
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    shop.close().await;
}

#[tokio::test]
async fn a_refund_that_fails_under_every_key_is_left_to_a_person_who_can_have_it_tried_again() {
    let limits = Limits {
        undecided: Duration::from_millis(150),
        ..Setup::default().limits
    };
    let (shop, provider) = shop(false, limits).await;
    let order = shop.shipped("a").await;
    provider.ill.store(true, Ordering::SeqCst);
    assert_eq!(
        shop.cancel_within(order, NOT_AT_ALL).await,
        CancelAnswer::Canceling
    );
    let saga = shop
        .until(order, |saga| parked(saga, "refund").is_some())
        .await;
    let known = parked(&saga, "refund").unwrap();
    assert_eq!(known.code, OVERDUE);
    assert_eq!(known.at_stake.as_ref().unwrap().amount, TOTAL);
    shop.at_rest(order).await;

    let engine = shop.fulfilment.engine();
    let attempts = saga.state.step("refund").unwrap().attempt;
    engine.retry(order, "refund", &request()).await.unwrap();
    shop.until(order, |saga| {
        let tried = saga.state.step("refund").unwrap().attempt > attempts;
        tried && parked(saga, "refund").is_some()
    })
    .await;
    let keys = provider.keys();
    let mut distinct = keys.clone();
    distinct.sort();
    distinct.dedup();
    assert!(keys.len() >= 2 && distinct.len() == keys.len(), "{keys:?}");

    provider.heal();
    engine.retry(order, "refund", &request()).await.unwrap();
    assert!(is_canceled(&shop.cancel(order).await));
    shop.at_rest(order).await;
    assert_eq!(
        shop.effects(order),
        [Op::Charge, Op::Ship, Op::Hold, Op::Refund, Op::Cancel]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_paid_parcel_that_is_never_scanned_is_listed_and_still_looked_for() {
    let look = Duration::from_millis(30);
    let limits = Limits {
        handover: Duration::from_millis(100),
        look_first: look,
        look_cap: look,
        ..Setup::default().limits
    };
    let (shop, _) = shop(false, limits).await;
    let order = shop.shipped("a").await;
    let saga = shop
        .until(order, |saga| parked(saga, "handover").is_some())
        .await;
    let known = parked(&saga, "handover").unwrap();
    assert_eq!(known.code, OVERDUE);
    assert_eq!(known.at_stake.as_ref().unwrap().amount, TOTAL);
    assert!(known.suggestion.contains("cancel the order"), "{known:?}");
    // The van comes after all, and nobody had to do anything.
    assert!(shop.simulator.scan(order, Scan::HandOver, false).await);
    let saga = shop
        .until(order, |saga| saga.state.is_done("handover"))
        .await;
    assert_ne!(saga.state.status(), Status::Parked);
    assert!(shop.simulator.scan(order, Scan::Deliver, false).await);
    shop.at_rest(order).await;
    shop.close().await;
}

#[tokio::test]
async fn a_parcel_that_is_never_scanned_can_still_be_canceled() {
    let look = Duration::from_millis(30);
    let limits = Limits {
        handover: Duration::from_millis(100),
        look_first: look,
        look_cap: look,
        ..Setup::default().limits
    };
    let (shop, _) = shop(false, limits).await;
    let order = shop.shipped("a").await;
    shop.until(order, |saga| parked(saga, "handover").is_some())
        .await;
    assert!(is_canceled(&shop.cancel(order).await));
    let end = shop.at_rest(order).await;
    assert!(end.state.is_finished());
    shop.close().await;
}

#[tokio::test]
async fn deposits_that_are_awaited_do_not_open_the_breaker() {
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_millis(20),
        ..setup.limits
    };
    let guard = Policy {
        min_calls: 3,
        slow_call: Duration::from_secs(20),
        ..Policy::default()
    };
    let (shop, provider) = shop_with(
        true,
        Setup {
            limits,
            guard,
            ..setup
        },
    )
    .await;
    for key in ["a", "b", "c", "d", "e"] {
        shop.place(key, "ok").await;
        shop.until(Shop::id(key), |saga| {
            saga.state.step("pay").is_some_and(|step| step.attempt > 1)
        })
        .await;
    }
    let mut readings = shop.fulfilment.guards().readings();
    let (_, payment) = readings.find(|(name, _)| *name == "payment").unwrap();
    assert_eq!(payment.position, Position::Closed);
    drop(readings);
    provider.heal();
    shop.until(Shop::id("e"), |saga| saga.state.is_done("ship"))
        .await;
    shop.close().await;
}
