//! Every payment token, from the order to its end.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use orchestrator::fulfilment::answers::Verdict;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::place::PlaceError;
use orchestrator::providers::guard::{Policy, Position};
use orchestrator::providers::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund, Refusal,
};
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::providers::simulator::{Fault, Simulator};
use uuid::Uuid;

use super::shop::{Setup, Shop, answered, eventually};

/// An order is pending for a while before it expires, also where the log takes its time.
fn quick_expiry() -> Setup {
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_millis(50),
        payment_deadline: Duration::from_secs(3),
        ..setup.limits
    };
    Setup { limits, ..setup }
}

#[tokio::test]
async fn decline_rejects_the_order_and_takes_nothing() {
    let shop = Shop::open().await;
    let answer = answered(shop.place("a", "decline").await);
    let Verdict::Rejected(refusal) = answer.verdict else {
        panic!("{answer:?}")
    };
    assert_eq!(refusal.code, "card-declined");
    shop.at_rest(Shop::id("a")).await;
    assert_eq!(
        shop.story(Shop::id("a")).await,
        ["Ordered", "PaymentDeclined", "OrderRejected"]
    );
    assert_eq!(shop.effects(Shop::id("a")), []);
    shop.close().await;
}

#[tokio::test]
async fn timeout_charged_is_charged_once_and_answered_as_paid() {
    let shop = Shop::open().await;
    let answer = answered(shop.place("a", "timeout-charged").await);
    assert!(matches!(answer.verdict, Verdict::Paid { .. }), "{answer:?}");
    shop.until(Shop::id("a"), |saga| saga.state.is_done("notify"))
        .await;
    assert_eq!(shop.effects(Shop::id("a")), [Op::Charge, Op::Ship]);
    shop.close().await;
}

#[tokio::test]
async fn timeout_uncharged_is_sent_again_with_the_same_key() {
    let shop = Shop::open().await;
    let answer = answered(shop.place("a", "timeout-uncharged").await);
    assert!(matches!(answer.verdict, Verdict::Paid { .. }), "{answer:?}");
    shop.until(Shop::id("a"), |saga| saga.state.is_done("notify"))
        .await;
    assert_eq!(shop.effects(Shop::id("a")), [Op::Charge, Op::Ship]);
    shop.close().await;
}

#[tokio::test]
async fn slow_is_answered_as_pending_after_the_budget_and_paid_in_the_end() {
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_millis(50),
        ..setup.limits
    };
    let provider_time_limit = Duration::from_secs(4);
    let shop = Shop::with(Setup {
        limits,
        provider_time_limit,
        ..setup
    })
    .await;
    let first = answered(shop.place("a", "slow-2800").await);
    assert_eq!(first.verdict, Verdict::Pending);
    shop.until(Shop::id("a"), |saga| saga.state.is_done("pay"))
        .await;
    let repeat = answered(shop.place("a", "slow-2800").await);
    assert_eq!(repeat, first);
    shop.until(Shop::id("a"), |saga| saga.state.is_done("notify"))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn down_is_pending_until_the_window_closes_and_then_rejected() {
    let shop = Shop::with(quick_expiry()).await;
    let first = answered(shop.place("a", "down").await);
    assert_eq!(first.verdict, Verdict::Pending);
    shop.at_rest(Shop::id("a")).await;
    let story = shop.story(Shop::id("a")).await;
    assert_eq!(
        story,
        [
            "Ordered",
            "OrderPending",
            "PaymentDeclined",
            "OrderRejected"
        ]
    );
    let repeat = answered(shop.place("a", "down").await);
    assert_eq!(repeat, first);
    shop.close().await;
}

#[tokio::test]
async fn a_charge_that_lands_after_the_order_expired_goes_back() {
    let setup = quick_expiry();
    // The provider takes longer than anybody waits for an answer, and longer than the window is open.
    let limits = Limits {
        call: Duration::from_millis(20),
        late_charge_watch: Duration::from_secs(20),
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    let first = answered(shop.place("a", "slow-5000").await);
    assert_eq!(first.verdict, Verdict::Pending);
    let rejected = |saga: &orchestrator::saga::view::Snapshot| saga.state.is_done("refund");
    shop.until(Shop::id("a"), rejected).await;
    shop.at_rest(Shop::id("a")).await;
    let story = shop.story(Shop::id("a")).await;
    let expected = [
        "Ordered",
        "OrderPending",
        "PaymentDeclined",
        "OrderRejected",
        "Paid",
        "PayCanceled",
    ];
    assert_eq!(story, expected);
    assert_eq!(shop.effects(Shop::id("a")), [Op::Charge, Op::Refund]);
    shop.close().await;
}

#[tokio::test]
async fn nothing_is_stored_while_the_provider_is_known_to_be_away() {
    let guard = Policy {
        min_calls: 3,
        open_for: Duration::from_mins(1),
        ..Policy::default()
    };
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_millis(50),
        ..setup.limits
    };
    let shop = Shop::with(Setup {
        guard,
        limits,
        ..setup
    })
    .await;
    let first = answered(shop.place("a", "down").await);
    let payments = || {
        shop.fulfilment
            .guards()
            .readings()
            .next()
            .unwrap()
            .1
            .position
    };
    eventually(|| async { payments() == Position::Open }).await;
    let error = shop.try_place("b", "ok").await.unwrap_err();
    assert!(
        matches!(error, PlaceError::PaymentUnavailable { .. }),
        "{error:?}"
    );
    assert!(shop.story(Shop::id("b")).await.is_empty());
    // What was answered is answered again.
    assert_eq!(answered(shop.place("a", "down").await), first);
    shop.close().await;
}

#[tokio::test]
async fn a_window_that_the_provider_closed_reads_to_the_customer_like_one_that_we_closed() {
    let expired = "payment-expired";
    for code in ["payment-window-closed", "not-found-payment-session"] {
        let shop = Shop::open().await;
        shop.simulator
            .script(Op::Charge, Shop::id("a"), Fault::Refuse(code));
        let theirs = answered(shop.place("a", "ok").await);
        assert!(
            matches!(&theirs.verdict, Verdict::Rejected(refusal) if refusal.code == expired),
            "{theirs:?}"
        );
        shop.close().await;
    }
    let shop = Shop::with(quick_expiry()).await;
    answered(shop.place("a", "down").await);
    shop.at_rest(Shop::id("a")).await;
    let log = shop.store.read_related(Shop::id("a")).await.unwrap();
    let ours = log
        .iter()
        .find(|event| &*event.event_type == "OrderRejected");
    assert!(ours.unwrap().data.get().contains(expired));
    shop.close().await;
}

/// A provider that shows, under an order's name, a session that its customer gave up.
struct TwoSessions(Simulator);

impl PaymentPort for TwoSessions {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Answer<MoneyMoved>> {
        self.0.charge(charge)
    }

    fn probe<'a>(&'a self, _: Uuid, _: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
        let refusal = Refusal {
            code: "pay-process-aborted".into(),
            reason: "The customer gave up.".into(),
        };
        Box::pin(async { Found::Refused(refusal) })
    }

    fn probe_with<'a>(
        &'a self,
        order: Uuid,
        key: &'a str,
        token: &'a str,
    ) -> BoxFuture<'a, Found<MoneyMoved>> {
        match token {
            "ok" => PaymentPort::probe(&self.0, order, key),
            _ => self.probe(order, key),
        }
    }

    fn find(&self, charge: ChargeName) -> BoxFuture<'_, Found<ChargeNow>> {
        self.0.find(charge)
    }

    fn refund(&self, refund: Refund) -> BoxFuture<'_, Answer<MoneyMoved>> {
        self.0.refund(refund)
    }

    fn probe_refund(&self, refund: Refund) -> BoxFuture<'_, Found<MoneyMoved>> {
        self.0.probe_refund(refund)
    }

    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<MoneyRecord>>> {
        PaymentPort::records(&self.0, since, cursor)
    }
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_looked_for_in_the_session_that_it_was_made_in() {
    let shop = Shop::with(Setup {
        till: Box::new(|simulator| Arc::new(TwoSessions(simulator))),
        ..Setup::default()
    })
    .await;
    let order = Shop::id("a");
    shop.simulator.script(Op::Charge, order, Fault::LoseReply);
    let answer = answered(shop.place("a", "ok").await);
    assert!(matches!(answer.verdict, Verdict::Paid { .. }), "{answer:?}");
    shop.until(order, |saga| saga.state.is_done("notify")).await;
    assert_eq!(shop.effects(order), [Op::Charge, Op::Ship]);
    shop.close().await;
}
