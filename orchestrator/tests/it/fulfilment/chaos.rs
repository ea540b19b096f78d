//! Some hundred orders under everything at once: bad payments, lost answers, refusals, cancels at any moment, and an engine that
//! is killed again and again. In the end the auditor finds every promise kept.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use aggregates::ids;
use aggregates::kakao::Kind;
use eventstore::testing::TestLog;
use futures_util::StreamExt;
use orchestrator::fulfilment::Fulfilment;
use orchestrator::fulfilment::audit::Report;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::place::PlaceAnswer;
use orchestrator::providers::simulator::Fault;
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::saga::engine;
use uuid::Uuid;

use super::shop::{STUCK, Setup, Shop, command, order};
use crate::soak::size;

/// Customers at once.
const AT_ONCE: usize = 64;
/// How long an engine lives at most before it is killed, in milliseconds.
const LIFE: u64 = 500;

fn setup() -> Setup {
    let setup = Setup::default();
    Setup {
        limits: Limits {
            payment_budget: Duration::from_millis(400),
            payment_deadline: Duration::from_secs(4),
            call: Duration::from_millis(200),
            look_first: Duration::from_millis(300),
            look_cap: Duration::from_secs(1),
            ..setup.limits
        },
        handover_after: Duration::from_millis(400),
        delivery_after: Duration::from_millis(200),
        ..setup
    }
}

/// Customers keep knocking while processes come and go.
struct Town {
    shop: Shop,
    process: RwLock<Fulfilment>,
    seed: u64,
    /// Orders that have not come to rest.
    open: Mutex<HashSet<Uuid>>,
    kills: AtomicU64,
    quiet: AtomicBool,
}

impl Town {
    fn process(&self) -> Fulfilment {
        self.process.read().unwrap().clone()
    }

    /// What a customer's order stands for.
    fn id(nth: usize) -> Uuid {
        Shop::id(&nth.to_string())
    }

    fn script(&self, nth: usize, rng: &mut fastrand::Rng) {
        let id = Self::id(nth);
        let unlucky = [
            (Op::Ship, "address-unknown", id),
            (Op::Hold, "handed-over", id),
            (Op::Refund, "account-closed", id),
            (Op::Cancel, "", id),
            (
                Op::Send,
                "no-kakao-user",
                ids::message_id(&id.to_string(), Kind::Shipped, "1"),
            ),
            (
                Op::Send,
                "",
                ids::message_id(&id.to_string(), Kind::Canceled, "1"),
            ),
        ];
        for (op, refusal, subject) in unlucky {
            let fault = match rng.u8(0..20) {
                0 | 1 => Fault::LoseReply,
                2 | 3 => Fault::LoseRequest,
                4 => Fault::Unreachable,
                5 => Fault::Slow(Duration::from_millis(rng.u64(1..150))),
                6 if !refusal.is_empty() => Fault::Refuse(refusal),
                _ => continue,
            };
            self.shop.simulator.script(op, subject, fault);
        }
    }

    /// One customer: orders until there is an answer, perhaps cancels, and gets the same answer again.
    async fn customer(&self, nth: usize) {
        let mut rng =
            fastrand::Rng::with_seed(self.seed ^ (nth as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        self.script(nth, &mut rng);
        self.open.lock().unwrap().insert(Self::id(nth));
        let token = match rng.u8(0..20) {
            0 | 1 => "decline".to_owned(),
            2 | 3 => "timeout-charged".to_owned(),
            4 | 5 => "timeout-uncharged".to_owned(),
            6 => "down".to_owned(),
            7 | 8 => format!("slow-{}", rng.u64(1..600)),
            _ => "ok".to_owned(),
        };
        let first = self.answer(nth, &token).await;
        if rng.bool() {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..700))).await;
            let wait = Duration::from_millis(rng.u64(0..300));
            // A process that is killed under a request gives no answer; the customer asks again.
            while self
                .process()
                .cancel(Self::id(nth), "chaos", "customer", wait)
                .await
                .is_err()
            {
                tokio::task::yield_now().await;
            }
        }
        let repeat = self.answer(nth, &token).await;
        assert_eq!(repeat, first, "the first answer of {nth} changed");
        self.rest(Self::id(nth)).await;
    }

    async fn answer(&self, nth: usize, token: &str) -> PlaceAnswer {
        loop {
            match self
                .process()
                .place(command(&nth.to_string(), order(token)))
                .await
            {
                Ok(answer @ PlaceAnswer::Answered(_)) => return answer,
                Ok(PlaceAnswer::KeyReused { .. }) => panic!("{nth} is another order"),
                Ok(PlaceAnswer::InProgress { .. }) | Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Kills the process and starts another one, which looks at every open order as a sweeper would.
    async fn killer(&self) {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        while !self.quiet.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(rng.u64(LIFE / 5..LIFE))).await;
            self.process().engine().halt();
            *self.process.write().unwrap() = self.shop.another(engine::Options::default());
            self.kills.fetch_add(1, Ordering::Relaxed);
            self.sweep();
        }
    }

    fn sweep(&self) {
        let process = self.process();
        let open = self.open.lock().unwrap();
        open.iter().for_each(|order| process.engine().wake(*order));
    }

    /// Until the order has come to rest, by however many processes.
    async fn rest(&self, order: Uuid) {
        let resting = async {
            loop {
                let Ok(mut running) = self.process().engine().follow(order).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if running
                    .wait_for(|saga| saga.state.is_at_rest())
                    .await
                    .is_some()
                {
                    return;
                }
            }
        };
        if tokio::time::timeout(2 * STUCK, resting).await.is_err() {
            panic!("stuck:\n{}", self.shop.tell(order).await);
        }
        self.open.lock().unwrap().remove(&order);
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn chaos(log: TestLog, orders: usize, seed: u64) -> Report {
    let shop = Shop::on(log, setup()).await;
    let process = RwLock::new(shop.another(engine::Options::default()));
    let (kills, quiet) = (AtomicU64::new(0), AtomicBool::new(false));
    let town = Arc::new(Town {
        shop,
        process,
        seed,
        open: Mutex::default(),
        kills,
        quiet,
    });
    let killer = {
        let town = Arc::clone(&town);
        tokio::spawn(async move { town.killer().await })
    };
    futures_util::stream::iter(0..orders)
        .map(|nth| {
            let town = Arc::clone(&town);
            tokio::spawn(async move { town.customer(nth).await })
        })
        .buffer_unordered(AT_ONCE)
        .for_each(async |customer| customer.unwrap())
        .await;
    town.quiet.store(true, Ordering::Relaxed);
    killer.await.unwrap();
    town.process().engine().halt();
    let kills = town.kills.load(Ordering::Relaxed);
    let town = Arc::into_inner(town).expect("everybody went home");
    let report = town.shop.close().await;
    println!(
        "figure: chaos seed={seed} orders={orders} kills={kills} parked={} violations={}",
        report.counts.parked,
        report.violations.len()
    );
    assert!(kills > 3, "nothing was killed");
    assert_eq!(report.counts.orders, orders as u64);
    assert_eq!(report.counts.in_flight, 0);
    let wanted = ["refund: account-closed"];
    let unwanted = |why: &&String| !wanted.contains(&why.as_str());
    assert_eq!(report.counts.parked_why.keys().find(unwanted), None);
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_breaks_no_promise_on_the_embedded_store() {
    let report = chaos(TestLog::sqlite(), size(3000), 20_261_122).await;
    assert!(
        report.counts.refunded > 20 && report.counts.paid > 100,
        "{:?}",
        report.counts
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_breaks_no_promise_on_postgres() {
    chaos(TestLog::postgres(), size(1000), 7).await;
}
