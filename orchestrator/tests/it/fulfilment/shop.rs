//! A shop with everything in it: a log, a vault, simulated providers, fulfilment.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::ids;
use aggregates::order::{CheckedOrder, Contact, DraftLine, OrderDraft, Payment};
use aggregates::saga::Standing;
use eventstore::testing::TestLog;
use eventstore::{EventStore, MasterKeyFile, Position, RecordedEvent, Vault};
use orchestrator::fulfilment::answers::{OrderAnswer, Verdict};
use orchestrator::fulfilment::audit::{Auditor, Report};
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::participants::Providers;
use orchestrator::fulfilment::place::{PlaceAnswer, PlaceError, PlaceOrder};
use orchestrator::fulfilment::{Fulfilment, Parts};
use orchestrator::providers::guard::Policy;
use orchestrator::providers::ports::PaymentPort;
use orchestrator::providers::simulator::ledger::{self, FILE_NAME, Line, Op, Verdict as Result};
use orchestrator::providers::simulator::{Fault, Options, Simulator};
use orchestrator::saga::engine;
use orchestrator::saga::view::Snapshot;
use tempfile::TempDir;
use uuid::Uuid;

pub(super) use crate::town::STUCK;

/// Who sends all commands.
pub(super) const PRINCIPAL: &str = "web";
/// Who orders.
pub(super) const CUSTOMER: &str = "33";
/// What an order of [`order`] costs.
pub(super) const TOTAL: i64 = 33_000;

/// How a shop is set up.
pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) handover_after: Duration,
    pub(super) delivery_after: Duration,
    pub(super) provider_time_limit: Duration,
    pub(super) guard: Policy,
    /// Who takes the money: the simulator, or something that stands between.
    pub(super) till: Till,
    pub(super) log: eventstore::Options,
}

/// Makes a payment provider out of the simulated one.
pub(super) type Till = Box<dyn FnOnce(Simulator) -> Arc<dyn PaymentPort> + Send>;

impl Default for Setup {
    /// Quick where something fails, and vans that come only when they are told to.
    fn default() -> Self {
        Self {
            limits: Limits {
                payment_budget: Duration::from_secs(2),
                late_charge_watch: Duration::from_millis(200),
                retry_first: Duration::from_millis(10),
                retry_cap: Duration::from_millis(100),
                look_first: Duration::from_hours(1),
                ..Limits::default()
            },
            handover_after: Duration::from_hours(1),
            delivery_after: Duration::from_hours(1),
            provider_time_limit: Duration::from_millis(50),
            guard: Policy {
                breaker: false,
                ..Policy::default()
            },
            till: Box::new(|simulator| Arc::new(simulator)),
            log: eventstore::Options::default(),
        }
    }
}

pub(super) struct Shop {
    pub(super) fulfilment: Fulfilment,
    pub(super) simulator: Simulator,
    pub(super) store: EventStore,
    parts: Box<dyn Fn() -> Parts + Send + Sync>,
    acknowledged: Mutex<Vec<Uuid>>,
    dir: TempDir,
    /// Where the log is.
    pub(super) home: TestLog,
}

impl Shop {
    pub(super) async fn open() -> Self {
        Self::with(Setup::default()).await
    }

    pub(super) async fn with(setup: Setup) -> Self {
        Self::on(TestLog::sqlite(), setup).await
    }

    pub(super) async fn on(log: TestLog, setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = log.open_with(setup.log).await;
        let key = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let vault = Vault::open(&store, &key).await.unwrap();
        let options = Options {
            handover_after: setup.handover_after,
            delivery_after: setup.delivery_after,
            time_limit: setup.provider_time_limit,
            ..Options::in_dir(dir.path())
        };
        let (simulator, scans) = Simulator::open(&options).unwrap();
        let parts = {
            let (store, simulator) = (store.clone(), Arc::new(simulator.clone()));
            let till = (setup.till)(Simulator::clone(&simulator));
            move || Parts {
                store: store.clone(),
                vault: vault.clone(),
                providers: Providers {
                    payments: Arc::clone(&till),
                    carrier: simulator.clone(),
                    kakao: simulator.clone(),
                    external: Default::default(),
                },
                limits: setup.limits.clone(),
                guard: setup.guard.clone(),
            }
        };
        let fulfilment = Fulfilment::new(parts(), engine::Options::default()).unwrap();
        let follower = fulfilment.clone();
        tokio::spawn(async move { follower.follow_scans(scans).await });
        let (parts, acknowledged) = (Box::new(parts), Mutex::default());
        Self {
            fulfilment,
            simulator,
            store,
            parts,
            acknowledged,
            dir,
            home: log,
        }
    }

    /// What the shop is made of.
    pub(super) fn parts(&self) -> Parts {
        (self.parts)()
    }

    /// Another process on the same log and the same providers.
    pub(super) fn another(&self, options: engine::Options) -> Fulfilment {
        Fulfilment::new((self.parts)(), options).unwrap()
    }

    /// Another process with limits of its own.
    pub(super) fn another_with(&self, limits: Limits) -> Fulfilment {
        let parts = Parts {
            limits,
            ..(self.parts)()
        };
        Fulfilment::new(parts, engine::Options::default()).unwrap()
    }

    /// The order that a key of [`CUSTOMER`] stands for.
    pub(super) fn id(key: &str) -> Uuid {
        ids::order_id(PRINCIPAL, CUSTOMER, key)
    }

    pub(super) async fn place(&self, key: &str, token: &str) -> PlaceAnswer {
        self.try_place(key, token).await.unwrap()
    }

    pub(super) async fn try_place(
        &self,
        key: &str,
        token: &str,
    ) -> std::result::Result<PlaceAnswer, PlaceError> {
        let answer = self.fulfilment.place(command(key, order(token))).await?;
        if let PlaceAnswer::Answered(answer) = &answer {
            self.acknowledged
                .lock()
                .unwrap()
                .push(answer.ordered.order_id);
        }
        Ok(answer)
    }

    /// Places an order that is paid at once.
    pub(super) async fn paid(&self, key: &str) -> Uuid {
        let answer = answered(self.place(key, "ok").await);
        assert!(matches!(answer.verdict, Verdict::Paid { .. }), "{answer:?}");
        answer.ordered.order_id
    }

    /// Places an order and waits until the carrier has accepted it and the customer was told.
    pub(super) async fn shipped(&self, key: &str) -> Uuid {
        let order = self.paid(key).await;
        self.until(order, |saga| {
            saga.state.is_done("ship") && saga.state.is_done("notify")
        })
        .await;
        order
    }

    pub(super) async fn cancel(&self, order: Uuid) -> CancelAnswer {
        self.cancel_within(order, STUCK).await
    }

    pub(super) async fn cancel_within(&self, order: Uuid, wait: Duration) -> CancelAnswer {
        self.fulfilment
            .cancel(order, "changed my mind", "customer", wait)
            .await
            .unwrap()
    }

    /// Waits until the saga is as wanted.
    pub(super) async fn until(
        &self,
        id: Uuid,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Arc<Snapshot> {
        let waited = async {
            let mut running = self.fulfilment.engine().follow(id).await.unwrap();
            running.wait_for(&wanted).await.unwrap()
        };
        match tokio::time::timeout(STUCK, waited).await {
            Ok(snapshot) => snapshot,
            Err(_) => panic!("stuck:\n{}", self.tell(id).await),
        }
    }

    /// An order that was charged, of which nobody here knows: the answer was lost, and the provider cannot be reached any
    /// more. What was asked when the customer could not wait any longer was asked in vain.
    pub(super) async fn charged_unknown(&self, key: &str) -> Uuid {
        let order = Self::id(key);
        self.simulator.script(Op::Charge, order, Fault::LoseReply);
        let outage = async {
            eventually(|| async { self.effects(order) == [Op::Charge] }).await;
            self.simulator.set_outage(ledger::Port::Payment, true);
        };
        tokio::join!(self.place(key, "ok"), outage);
        self.until(order, |saga| {
            let pay = saga.state.step("pay");
            let pause = pay.is_some_and(|pay| matches!(pay.standing, Standing::Backoff { .. }));
            let due = pay.and_then(|pay| pay.timer());
            let said = !saga.state.signals.is_empty();
            said && pause && due > Some(saga.state.updated_at)
        })
        .await;
        order
    }

    pub(super) async fn at_rest(&self, id: Uuid) -> Arc<Snapshot> {
        self.until(id, |saga| saga.state.is_at_rest()).await
    }

    /// The domain events of an order, in the order of the log.
    pub(super) async fn story(&self, id: Uuid) -> Vec<String> {
        let related = self.store.read_related(id).await.unwrap();
        let domain = related
            .iter()
            .filter(|event| event.stream.category.as_str() != "saga");
        domain.map(|event| event.event_type.to_string()).collect()
    }

    /// What really happened outside to an order's money and parcel.
    pub(super) fn effects(&self, id: Uuid) -> Vec<Op> {
        let id = id.to_string();
        let own = self
            .ledger()
            .into_iter()
            .filter(|line| line.order_id == id && line.op != Op::Send);
        own.filter(|line| line.result == Result::Done)
            .map(|line| line.op)
            .collect()
    }

    pub(super) fn ledger(&self) -> Vec<Line> {
        ledger::read(&self.dir.path().join(FILE_NAME)).unwrap()
    }

    pub(super) async fn log(&self) -> Vec<RecordedEvent> {
        let (mut events, mut after) = (Vec::new(), Position::ZERO);
        loop {
            let page = self.store.read_all(after, 1000, None).await.unwrap();
            if page.next == after {
                return events;
            }
            events.extend(page.events);
            after = page.next;
        }
    }

    /// What the auditor says.
    pub(super) async fn audit(&self) -> Report {
        let mut auditor = Auditor::new();
        self.acknowledged
            .lock()
            .unwrap()
            .iter()
            .for_each(|order| auditor.acknowledged(*order));
        self.log()
            .await
            .iter()
            .for_each(|event| auditor.observe(event));
        auditor.compare(&self.ledger())
    }

    /// The end of every test: whatever happened, the promises are kept.
    pub(super) async fn close(self) -> Report {
        assert!(
            self.fulfilment.engine().drain(STUCK).await,
            "the engine does not come to an end"
        );
        let report = self.audit().await;
        assert!(
            report.is_clean(),
            "{}",
            report
                .violations
                .iter()
                .take(10)
                .map(|v| format!("{v}\n"))
                .collect::<String>()
        );
        report
    }

    pub(super) async fn tell(&self, id: Uuid) -> String {
        let events = self.store.read_related(id).await.unwrap();
        let line = |event: &RecordedEvent| {
            format!(
                "{:<9} {:<18} {}",
                event.stream.category,
                event.event_type,
                event.data.get()
            )
        };
        events.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

pub(super) fn answered(answer: PlaceAnswer) -> OrderAnswer {
    match answer {
        PlaceAnswer::Answered(answer) => *answer,
        other => panic!("no answer: {other:?}"),
    }
}

pub(super) fn command(key: &str, order: CheckedOrder) -> PlaceOrder {
    PlaceOrder {
        order,
        principal: PRINCIPAL.into(),
        key: Some(key.into()),
        source: None,
        trace: None,
    }
}

pub(super) fn order(token: &str) -> CheckedOrder {
    order_of(CUSTOMER, token)
}

pub(super) fn order_of(customer: &str, token: &str) -> CheckedOrder {
    let line = DraftLine {
        book_id: "9788966261024".into(),
        qty: 1,
        unit_price: 30_000,
        title: None,
    };
    let draft = OrderDraft {
        customer_id: customer.into(),
        lines: vec![line],
        shipping_fee: 3_000,
        currency: "KRW".into(),
        payment: Some(Payment {
            method: "card".into(),
            token: token.into(),
        }),
        contact: Some(Contact {
            name: "Hong Gildong".into(),
            phone: "010-1234-5678".into(),
        }),
        address: None,
        placed_at: None,
        external_id: None,
        short_form: false,
    };
    draft.check().unwrap()
}

/// Asks again until it holds; only for what nobody announces.
pub(super) async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let asking = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(STUCK, asking)
        .await
        .expect("it never came to hold");
}
