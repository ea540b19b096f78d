//! One key, one order, one answer.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::testing::{TestDatabase, TestLog, each_backend};
use futures_util::future::BoxFuture;
use orchestrator::fulfilment::answers::Verdict;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::place::{PlaceAnswer, PlaceError};
use orchestrator::providers::guard::{Policy, Position, Reading};
use orchestrator::providers::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund,
};
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::providers::simulator::{Fault, Scan, Simulator};
use orchestrator::saga::engine;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::shop::{
    CUSTOMER, PRINCIPAL, Setup, Shop, answered, command, eventually, order, order_of,
};

#[tokio::test]
async fn a_repeat_gets_the_same_answer_whatever_has_happened_since() {
    each_backend(|log: TestLog| async move {
        let shop = Shop::on(log, Setup::default()).await;
        let first = answered(shop.place("a", "ok").await);
        let id = Shop::id("a");
        assert_eq!(answered(shop.place("a", "ok").await), first);
        shop.until(id, |saga| saga.state.is_done("ship")).await;
        shop.cancel(id).await;
        shop.at_rest(id).await;
        assert_eq!(answered(shop.place("a", "ok").await), first);
        let report = shop.close().await;
        assert_eq!(report.counts.orders, 1);
    })
    .await;
}

#[tokio::test]
async fn another_process_gives_the_same_answer() {
    let shop = Shop::open().await;
    let first = shop.place("a", "ok").await;
    let other = shop.another(engine::Options::default());
    assert_eq!(other.place(command("a", order("ok"))).await.unwrap(), first);
    shop.simulator
        .scan(Shop::id("a"), Scan::HandOver, false)
        .await;
    assert_eq!(other.place(command("a", order("ok"))).await.unwrap(), first);
    shop.close().await;
}

#[tokio::test]
async fn another_order_under_a_used_key_is_refused() {
    let shop = Shop::open().await;
    shop.paid("a").await;
    let reused = PlaceAnswer::KeyReused {
        order_id: Shop::id("a"),
    };
    assert_eq!(shop.place("a", "another-token").await, reused);
    let report = shop.close().await;
    assert_eq!(report.counts.orders, 1);
}

#[tokio::test]
async fn the_same_key_of_another_customer_or_principal_is_another_order() {
    let shop = Shop::open().await;
    shop.paid("a").await;
    let other_customer = command("a", order_of("34", "ok"));
    answered(shop.fulfilment.place(other_customer).await.unwrap());
    let mut other_principal = command("a", order_of(CUSTOMER, "ok"));
    other_principal.principal = format!("not {PRINCIPAL}");
    answered(shop.fulfilment.place(other_principal).await.unwrap());
    let report = shop.close().await;
    assert_eq!(report.counts.orders, 3);
}

#[tokio::test]
async fn without_a_key_every_command_is_a_new_order() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        let mut command = command("a", order("ok"));
        command.key = None;
        answered(shop.fulfilment.place(command).await.unwrap());
    }
    let report = shop.close().await;
    assert_eq!(report.counts.orders, 2);
}

#[tokio::test]
async fn a_repeat_of_a_rejected_order_is_rejected_again_and_charged_never() {
    let shop = Shop::open().await;
    let first = answered(shop.place("a", "decline").await);
    assert!(matches!(first.verdict, Verdict::Rejected(_)));
    assert_eq!(answered(shop.place("a", "decline").await), first);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_repeats_at_once_are_one_order_with_one_answer() {
    each_backend(|log: TestLog| async move {
        let shop = Shop::on(log, Setup::default()).await;
        let other = shop.another(engine::Options::default());
        let placing = (0..100).map(|nth| {
            let node = if nth % 2 == 0 {
                shop.fulfilment.clone()
            } else {
                other.clone()
            };
            tokio::spawn(async move { node.place(command("a", order("slow-20"))).await.unwrap() })
        });
        let answers = futures_util::future::join_all(placing).await;
        let first = answers[0].as_ref().unwrap();
        assert!(matches!(first, PlaceAnswer::Answered(_)), "{first:?}");
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().unwrap() == first)
        );
        let report = shop.close().await;
        assert_eq!((report.counts.orders, report.counts.paid), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_repeat_while_nothing_is_known_waits_out_the_budget_and_is_in_progress() {
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_secs(20),
        ..setup.limits.clone()
    };
    let shop = Shop::with(Setup {
        limits,
        provider_time_limit: Duration::from_secs(9),
        ..setup
    })
    .await;
    let impatient = Limits {
        payment_budget: Duration::from_millis(30),
        ..Setup::default().limits
    };
    let repeating = shop.another_with(impatient);
    let placing = shop.fulfilment.clone();
    let first = tokio::spawn(async move { placing.place(command("a", order("slow-2000"))).await });
    super::shop::eventually(|| async { !shop.story(Shop::id("a")).await.is_empty() }).await;
    let repeat = repeating
        .place(command("a", order("slow-2000")))
        .await
        .unwrap();
    assert_eq!(
        repeat,
        PlaceAnswer::InProgress {
            order_id: Shop::id("a")
        }
    );
    let first = answered(first.await.unwrap().unwrap());
    assert!(matches!(first.verdict, Verdict::Paid { .. }));
    shop.close().await;
}

#[tokio::test]
async fn an_order_goes_on_when_its_caller_goes_away() {
    let shop = Shop::open().await;
    let placing = shop.fulfilment.clone();
    let caller = tokio::spawn(async move { placing.place(command("a", order("slow-30"))).await });
    super::shop::eventually(|| async { !shop.story(Shop::id("a")).await.is_empty() }).await;
    caller.abort();
    shop.until(Shop::id("a"), |saga| saga.state.is_done("notify"))
        .await;
    let answer = answered(shop.place("a", "slow-30").await);
    assert!(matches!(answer.verdict, Verdict::Paid { .. }));
    shop.close().await;
}

#[tokio::test]
async fn an_order_costs_two_appends_up_to_its_answer() {
    let patient = Setup {
        provider_time_limit: Duration::from_secs(9),
        ..Setup::default()
    };
    let shop = Shop::with(patient).await;
    // Nothing is appended for the parcel before the answer has been looked at.
    let slow = Fault::Slow(Duration::from_secs(3));
    shop.simulator.script(Op::Ship, Shop::id("a"), slow);
    let before = shop.store.stats().appends;
    answered(shop.place("a", "ok").await);
    assert_eq!(shop.store.stats().appends - before, 2);
    shop.until(Shop::id("a"), |saga| saga.state.is_done("notify"))
        .await;
    assert_eq!(shop.store.stats().appends - before, 4);
    shop.close().await;
}

/// A provider that makes no charge before its gate is open.
struct Gated {
    simulator: Simulator,
    gate: Arc<Semaphore>,
}

impl PaymentPort for Gated {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Answer<MoneyMoved>> {
        Box::pin(async move {
            // There are no permits: who waits for one goes on as soon as there never will be any.
            drop(self.gate.acquire().await);
            self.simulator.charge(charge).await
        })
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
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

/// Slow calls after which a provider is given up.
const GIVEN_UP_AFTER: usize = 3;

/// A shop that soon gives up its log and such a provider.
fn impatient(gate: &Arc<Semaphore>) -> Setup {
    let (setup, gate) = (Setup::default(), Arc::clone(gate));
    // No call is cut off while the gate is closed.
    let call = Duration::from_secs(30);
    Setup {
        limits: Limits {
            payment_budget: Duration::from_millis(100),
            call,
            ..setup.limits
        },
        guard: Policy {
            min_calls: GIVEN_UP_AFTER,
            slow_call: Duration::from_millis(200),
            time_limit: call,
            open_for: Duration::from_mins(1),
            ..Policy::default()
        },
        till: Box::new(move |simulator| Arc::new(Gated { simulator, gate })),
        log: eventstore::Options {
            append_deadline: Duration::from_secs(1),
            ..eventstore::Options::default()
        },
        ..setup
    }
}

fn payments(shop: &Shop) -> Reading {
    let mut readings = shop.fulfilment.guards().readings();
    let payments = readings.find(|(name, _)| *name == "payment");
    payments.expect("payments are guarded").1
}

/// A log that takes its time, and a provider that is given up meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_may_yet_be_stored_is_in_doubt_also_while_the_provider_is_away() {
    let gate = Arc::new(Semaphore::new(0));
    let shop = Arc::new(Shop::on(TestLog::postgres(), impatient(&gate)).await);
    // However many it takes: what the log itself was slow with is charged by nobody here.
    eventually(|| async {
        drop(shop.try_place(&Uuid::now_v7().to_string(), "ok").await);
        payments(&shop).in_flight >= GIVEN_UP_AFTER
    })
    .await;
    let holder = Arc::clone(&shop);
    // Less than the log itself waits for its turn.
    let hold = "BEGIN; SELECT FROM log_head FOR UPDATE; SELECT pg_sleep(2.5); COMMIT";
    let held = tokio::task::spawn_blocking(move || database(&holder).try_execute(hold));
    let free = "SELECT FROM log_head FOR UPDATE NOWAIT";
    eventually(|| async { database(&shop).try_execute(free).is_err() }).await;

    let in_doubt = PlaceAnswer::InProgress {
        order_id: Shop::id("a"),
    };
    assert_eq!(shop.place("a", "ok").await, in_doubt);
    gate.close();
    eventually(|| async { payments(&shop).position == Position::Open }).await;
    assert_eq!(shop.try_place("a", "ok").await.unwrap(), in_doubt);
    // Of one that nobody has sent it is known that nothing is stored.
    let refused = shop.try_place("e", "ok").await;
    assert!(
        matches!(refused, Err(PlaceError::PaymentUnavailable { .. })),
        "{refused:?}"
    );
    held.await.unwrap().unwrap();
    eventually(|| async { !shop.story(Shop::id("a")).await.is_empty() }).await;
}

fn database(shop: &Shop) -> &TestDatabase {
    match &shop.home {
        TestLog::Postgres(database) => database,
        TestLog::Sqlite(_) => unreachable!("it is on Postgres"),
    }
}
