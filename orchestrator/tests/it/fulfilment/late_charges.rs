//! Charges that are approved after everybody gave up on them, and a shop or a provider that was away for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aggregates::saga::{Phase, SagaEvent, Standing, Status, StepDone, StepRefused};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::report::Action;
use orchestrator::fulfilment::reconcile::{Mode, Pace, Reconciler};
use orchestrator::providers::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund,
};
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::providers::simulator::{Fault, Simulator};
use orchestrator::saga::definition::Transition;
use orchestrator::saga::verbs::Request;
use orchestrator::saga::view::Snapshot;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cancels::is_canceled;
use super::reconciles::{codes, compare, count, kept, plant_charge};
use super::shop::{Setup, Shop, TOTAL, eventually};

/// A provider that loses every charge it is asked for, and says nothing about any while it is mute.
struct Mute {
    simulator: Simulator,
    is_mute: Arc<AtomicBool>,
}

impl PaymentPort for Mute {
    fn charge(&self, _: Charge) -> BoxFuture<'_, Answer<MoneyMoved>> {
        Box::pin(async { Answer::Unknown("no answer came".into()) })
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
        if self.is_mute.load(Ordering::SeqCst) {
            return Box::pin(async { Found::Unknown("it does not answer".into()) });
        }
        PaymentPort::probe(&self.simulator, order_id, key)
    }

    fn find(&self, charge: ChargeName) -> BoxFuture<'_, Found<ChargeNow>> {
        self.simulator.find(charge)
    }

    fn refund(&self, refund: Refund) -> BoxFuture<'_, Answer<MoneyMoved>> {
        self.simulator.refund(refund)
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

/// An order whose payment was never confirmed in its time, in a shop that looks out for a charge that turns up all the same.
async fn expired() -> (Shop, Uuid, Arc<AtomicBool>) {
    let is_mute = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&is_mute);
    let setup = Setup::default();
    let limits = Limits {
        payment_deadline: Duration::from_millis(500),
        ..setup.limits
    };
    let shop = Shop::with(Setup {
        limits,
        till: Box::new(move |simulator| {
            let is_mute = said;
            Arc::new(Mute { simulator, is_mute })
        }),
        ..setup
    })
    .await;
    let order = Shop::id("a");
    shop.place("a", "ok").await;
    shop.until(order, |saga| saga.state.step("late-charge").is_some())
        .await;
    (shop, order, is_mute)
}

#[tokio::test]
async fn a_charge_that_nobody_could_ask_about_in_its_time_goes_back_all_the_same() {
    let (shop, order, is_mute) = expired().await;
    is_mute.store(true, Ordering::SeqCst);
    plant_charge(&shop, order, &format!("{order}:pay")).await;
    // The watch is over, and a look that nobody answered has put the next one off.
    let watch = TimeDelta::from_std(shop.parts().limits.late_charge_watch).unwrap();
    let is_over = |saga: &Snapshot| {
        let watched = saga.state.step("late-charge").unwrap();
        matches!(watched.standing, Standing::Polling { next_at } if next_at > watched.first_at + watch)
    };
    shop.until(order, is_over).await;
    is_mute.store(false, Ordering::SeqCst);
    let end = shop.at_rest(order).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert_eq!(kept(&shop, order).await, 0);
    assert_eq!(count(&shop.effects(order), Op::Refund), 1);
    shop.close().await;
}

/// One that looks back no further than it has to.
fn short_sighted(shop: &Shop) -> Reconciler {
    let pace = Pace {
        grace: Duration::ZERO,
        margin: Duration::ZERO,
        window: Duration::from_millis(1),
        ..Pace::default()
    };
    Reconciler::new(shop.fulfilment.clone(), pace)
}

#[tokio::test]
async fn what_happened_while_nobody_compared_is_seen_to_however_long_that_was() {
    // Nobody looks for the charge any more.
    let (shop, order, _) = expired().await;
    shop.at_rest(order).await;
    let (before, stop) = (short_sighted(&shop), CancellationToken::new());
    let comparing = tokio::spawn(before.clone().keep(Duration::from_hours(1), stop.clone()));
    eventually(|| async { before.last().is_some() }).await;
    stop.cancel();
    comparing.await.unwrap();
    plant_charge(&shop, order, "late approval").await;
    // Without what the first one remembered, the second one would not look back as far.
    let later = Utc::now() + TimeDelta::milliseconds(50);
    eventually(|| async { Utc::now() > later }).await;
    let (after, stop) = (short_sighted(&shop), CancellationToken::new());
    let comparing = tokio::spawn(after.keep(Duration::from_hours(1), stop.clone()));
    shop.until(order, |saga| {
        saga.state.is_done("refund") && saga.state.is_at_rest()
    })
    .await;
    stop.cancel();
    comparing.await.unwrap();
    assert_eq!(kept(&shop, order).await, 0);
    shop.close().await;
}

/// As from a process that was frozen while another one took over: what it learned is no news of the order, and a charge that
/// nobody asked about is found when the books are compared.
#[tokio::test]
async fn what_is_learned_of_a_step_after_another_attempt_has_succeeded_is_recorded_nowhere() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    assert!(matches!(
        shop.cancel(order).await,
        CancelAnswer::Canceled { .. }
    ));
    let undone = shop.at_rest(order).await;
    let engine = shop.fulfilment.engine();
    let saga = engine.saga("fulfilment", undone.state.version);
    let saga = saga.expect("a saga of this build");
    let steps = ["pay", "ship", "hold", "refund", "cancel-delivery"];
    let refusals = steps.map(|step| SagaEvent::from(refused(step)));
    for event in refusals
        .into_iter()
        .chain([SagaEvent::from(charged_again())])
    {
        let events = [event];
        let transition = Transition {
            saga_id: order,
            before: &undone.state,
            after: &undone.state,
            events: &events,
            at: Utc::now(),
        };
        let recorded = saga.record(&undone.history, &transition);
        assert!(
            recorded.expect("nothing to decide").is_empty(),
            "{events:?}"
        );
    }
    shop.close().await;
}

fn refused(step: &str) -> StepRefused {
    StepRefused {
        step: step.to_owned(),
        attempt: 1,
        code: "too-late".to_owned(),
        reason: "the other attempt was first".to_owned(),
        late: true,
        at: Utc::now(),
    }
}

fn charged_again() -> StepDone {
    StepDone {
        step: "pay".to_owned(),
        attempt: 1,
        output: json!({ "ref": "under another key" }),
        late: true,
        at: Utc::now(),
    }
}

/// Two charges, of which the second cannot go back.
#[tokio::test]
async fn an_order_is_not_canceled_while_a_charge_of_it_has_not_gone_back() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    plant_charge(&shop, order, "second window").await;
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("second-charge", Action::Fixed)]);
    let back = report.findings[0].saga_id.unwrap();
    shop.until(back, |saga| saga.state.status() == Status::Parked)
        .await;

    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);
    shop.at_rest(order).await;
    assert_eq!(kept(&shop, order).await, TOTAL);
    assert_eq!(shop.cancel(order).await, CancelAnswer::Canceling);

    let why = Request {
        actor: "kim".into(),
        reason: "a new account".into(),
    };
    let engine = shop.fulfilment.engine();
    engine.retry(back, "return-charge", &why).await.unwrap();
    shop.at_rest(back).await;
    assert_eq!(kept(&shop, order).await, 0);
    assert!(is_canceled(&shop.cancel(order).await));
    shop.close().await;
}
