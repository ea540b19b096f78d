//! Everything at once: every third order meets one of all the ways in which a call can go wrong, and both processes are
//! killed again and again.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eventstore::testing::TestDatabase;
use futures_util::StreamExt;

use super::canary::{self, canary};
use super::figures::{doubles, kept_by_ledger, kept_by_log, lost, without_due_time};
use super::weather::{Plan, weather};
use super::{count, crowd, of_status, parked};
use crate::checker::{self, Asked, Reply};
use crate::soak::{self, size};
use crate::town::{Customers, Setup, Town, reply, until};

/// How often each process is killed: shop and providers. Each of them even in the short run.
fn kills() -> (usize, usize) {
    if soak::is_on() { (10, 2) } else { (2, 1) }
}

/// One customer: orders until there is an answer, perhaps cancels until that is answered, and asks for the order again.
async fn customer(customers: Customers, nth: usize, done: Arc<AtomicUsize>) -> Vec<Reply> {
    let (key, wanted) = (nth.to_string(), canary("ok", nth));
    let first = customers.insist(&key, &wanted).await;
    canary::is_clean("an answer", &first.text);
    let order = first.order();
    let mut replies = vec![reply(&order, Asked::Place, &first)];
    if let Some(hesitates) = Plan::of(nth).cancels_after {
        tokio::time::sleep(hesitates).await;
        if let Some(answer) = customers.cancel(&order).await {
            canary::is_clean("an answer", &answer.text);
            replies.extend(
                answer
                    .is_final()
                    .then(|| reply(&order, Asked::Cancel, &answer)),
            );
        }
    }
    let again = customers.insist(&key, &wanted).await;
    assert_eq!(
        (again.status, &again.text),
        (first.status, &first.text),
        "the first answer of {order} changed"
    );
    replies.push(reply(&order, Asked::Place, &again));
    done.fetch_add(1, Ordering::Relaxed);
    replies
}

/// The orders of which a call went wrong since the rules were told.
async fn struck(town: &Town, orders: &mut BTreeSet<String>) {
    let rules = town.rules().await["rules"].take();
    let struck = rules.as_array().into_iter().flatten();
    let struck = struck.filter(|rule| rule["struck"].as_u64() > Some(0));
    orders.extend(struck.filter_map(|rule| rule["orderId"].as_str().map(str::to_owned)));
}

/// Of a hundred orders, how many meet a fault.
const MET: RangeInclusive<usize> = 20..=40;

/// The same once there are enough of them: what the crowd has ordered goes on after the last of it has gone home.
async fn struck_enough(town: &Town, met: &mut BTreeSet<String>, orders: usize) {
    until("orders that met a fault", super::MENDED, async || {
        struck(town, met).await;
        (met.len() * 100 / orders >= *MET.start()).then_some(())
    })
    .await;
}

/// Kills both processes, evenly over the crowd. Says of which orders a call went wrong before the last of the providers'
/// deaths; they forget it when they die.
async fn killer(town: &mut Town, done: &AtomicUsize, crowd: usize) -> BTreeSet<String> {
    let (shops, worlds) = kills();
    let mut met = BTreeSet::new();
    for kill in 1..=shops {
        let reached = kill * crowd / (shops + 1);
        until("the next part of the crowd", super::MENDED, async || {
            (done.load(Ordering::Relaxed) >= reached).then_some(())
        })
        .await;
        town.restart_shop().await;
        // Evenly among the others, and not beside the last of them.
        if (kill * worlds).div_ceil(shops) > ((kill - 1) * worlds).div_ceil(shops) {
            struck(town, &mut met).await;
            town.restart_world(&weather(crowd)).await;
        }
    }
    met
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_under_every_fault_and_killed_processes_finds_every_promise_kept() {
    storm("sqlite", Setup::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn such_a_crowd_finds_every_promise_kept_on_postgres_too() {
    let database = TestDatabase::create();
    let setup = Setup {
        database: Some(database.url()),
        ..Setup::default()
    };
    storm("postgres", setup).await;
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn storm(store: &str, setup: Setup) {
    let setup = setup
        .shop(&[
            "--payment-budget",
            "2s",
            "--provider-timeout",
            "1s",
            "--log",
            "debug",
        ])
        .world(&[
            "--simulated-handover-after",
            "1s",
            "--simulated-delivery-after",
            "1s",
        ]);
    let mut town = Town::open(setup).await;
    let orders = size(1000);
    town.faults(&weather(orders)).await;
    let done = Arc::new(AtomicUsize::new(0));
    let (customers, counter) = (town.customers.clone(), Arc::clone(&done));
    let everybody = crowd(orders, move |nth| {
        customer(customers.clone(), nth, Arc::clone(&counter))
    });
    let everybody = tokio::spawn(everybody.concat());
    let mut met = killer(&mut town, &done, orders).await;
    let replies = everybody.await.expect("everybody went home");
    canary::is_clean("the metrics", &town.get("/metrics").await.text);
    struck_enough(&town, &mut met, orders).await;
    town.heal().await;
    let healed = std::time::Instant::now();
    town.quiesces(super::MENDED).await;
    let evidence = town.evidence(replies).await;
    let found = checker::check(&evidence);
    let (met, (shop_kills, world_kills)) = (met.len(), kills());
    println!(
        "figure: storm store={store} seed={} orders={orders} met-a-fault={met} shop-kills={shop_kills} provider-kills={world_kills} charges={} \
         refunds={} shipments={} canceled={} parked={} calm-after={:.1}s double={} lost={} sagas-without-due-time={} \
         kept-by-ledger={} kept-by-log={} violations={}",
        super::weather::SEED,
        count(&evidence, "charge"),
        count(&evidence, "refund"),
        count(&evidence, "ship"),
        of_status(&evidence, "Canceled"),
        parked(&evidence),
        healed.elapsed().as_secs_f64(),
        doubles(&evidence),
        lost(&evidence),
        without_due_time(&evidence),
        kept_by_ledger(&evidence),
        kept_by_log(&evidence),
        found.len(),
    );
    assert!(found.is_empty(), "{}", checker::tell(&found));
    let share = met * 100 / orders;
    assert!(MET.contains(&share), "{share} % met a fault");
    // Every one of these is a rule of the checker as well; here they are the figures of the line above.
    assert_eq!(evidence.customers.len(), orders);
    assert_eq!(
        (
            doubles(&evidence),
            lost(&evidence),
            without_due_time(&evidence)
        ),
        (0, 0, 0)
    );
    assert_eq!(kept_by_ledger(&evidence), kept_by_log(&evidence));
    canary::scan(&town, &evidence);
}
