//! A customer who left no number: the order goes its way, and the message ends as failed.

use std::sync::Arc;
use std::time::Duration;

use aggregates::ids;
use aggregates::kakao::{Kind, Progress};
use aggregates::order::{CheckedOrder, Contact, DraftLine, OrderDraft};
use eventstore::testing::TestLog;
use eventstore::{MasterKeyFile, Vault};
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::messages::{SendAnswer, SendMessage};
use orchestrator::fulfilment::participants::Providers;
use orchestrator::fulfilment::place::PlaceOrder;
use orchestrator::fulfilment::{Fulfilment, Parts};
use orchestrator::providers::guard::Policy;
use orchestrator::providers::simulator::{Options, Simulator};
use orchestrator::saga::engine;
use uuid::Uuid;
use wiremock::MockServer;

use super::server::*;
use super::solapi::{SEND, sent};

fn order(contact: Option<Contact>) -> CheckedOrder {
    let line = DraftLine {
        book_id: "9788966261024".into(),
        qty: 1,
        unit_price: 30_000,
        title: None,
    };
    let draft = OrderDraft {
        customer_id: "33".into(),
        lines: vec![line],
        shipping_fee: 3_000,
        currency: "KRW".into(),
        payment: None,
        contact,
        address: None,
        placed_at: None,
        external_id: None,
        short_form: false,
    };
    draft.check().expect("an order")
}

fn contact() -> Contact {
    Contact {
        name: "Hong Gildong".into(),
        phone: PHONE.into(),
    }
}

/// A shop whose messages go through Solapi.
struct Shop {
    fulfilment: Fulfilment,
    dealer: MockServer,
    _dir: tempfile::TempDir,
    _log: TestLog,
}

impl Shop {
    async fn open() -> Self {
        let (dir, log, dealer) = (
            tempfile::tempdir().expect("a folder"),
            TestLog::sqlite(),
            MockServer::start().await,
        );
        on(&dealer, "POST", SEND, 200, sent("2000")).await;
        let store = log.open().await;
        let key = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let vault = Vault::open(&store, &key).await.expect("a vault");
        let hour = Duration::from_hours(1);
        let options = Options {
            handover_after: hour,
            delivery_after: hour,
            ..Options::in_dir(dir.path())
        };
        let simulator = Arc::new(Simulator::open(&options).expect("a simulator").0);
        let parts = Parts {
            store,
            vault,
            providers: Providers {
                payments: simulator.clone(),
                carrier: simulator,
                kakao: Arc::new(solapi_at(&dealer.uri(), PATIENCE)),
                external: Default::default(),
            },
            limits: Limits::default(),
            guard: Policy::default(),
        };
        Self {
            fulfilment: Fulfilment::new(parts, engine::Options::default()).expect("sagas"),
            dealer,
            _dir: dir,
            _log: log,
        }
    }

    async fn place(&self, order: CheckedOrder) -> Uuid {
        let key = Uuid::new_v4().to_string();
        let command = PlaceOrder {
            order,
            principal: "web".into(),
            key: Some(key.clone()),
            source: None,
            trace: None,
        };
        self.fulfilment.place(command).await.expect("an answer");
        ids::order_id("web", "33", &key)
    }

    async fn direct(&self, order_id: String, customer: &str) -> Uuid {
        let draft = aggregates::kakao::MessageDraft {
            order_id,
            customer_id: customer.into(),
            status: "Shipped".into(),
            message: "hello".into(),
        };
        let command = SendMessage {
            message: draft.check().expect("a message"),
            principal: "web".into(),
            key: None,
            trace: None,
        };
        match self
            .fulfilment
            .send_message(command)
            .await
            .expect("an answer")
        {
            SendAnswer::Recorded(message) => message.value.id,
            other => panic!("{other:?}"),
        }
    }

    /// What became of a message, once its saga has settled the step.
    async fn progress(&self, saga: Uuid, step: &str, message: Uuid) -> Progress {
        let mut running = self.fulfilment.engine().follow(saga).await.expect("a saga");
        let settled = running.wait_for(|saga| {
            saga.state
                .step(step)
                .is_some_and(aggregates::saga::Step::is_settled)
        });
        tokio::time::timeout(PATIENCE, settled)
            .await
            .expect("it is settled in time")
            .expect("it runs");
        let message = self.fulfilment.message(message).await.expect("a log");
        message.expect("a message").value.progress
    }

    async fn sent(&self) -> usize {
        requests(&self.dealer).await.len()
    }
}

fn code(progress: &Progress) -> &str {
    match progress {
        Progress::Failed(refusal) => &refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_message_about_an_order_without_a_number_fails_as_no_contact() {
    let shop = Shop::open().await;
    let id = shop.place(order(None)).await;
    let message = ids::message_id(&id.to_string(), Kind::Shipped, "1");
    assert_eq!(
        code(&shop.progress(id, "notify", message).await),
        "no-contact"
    );
    assert_eq!(shop.sent().await, 0);
}

#[tokio::test]
async fn the_message_about_an_order_with_a_number_goes_out() {
    let shop = Shop::open().await;
    let id = shop.place(order(Some(contact()))).await;
    let message = ids::message_id(&id.to_string(), Kind::Shipped, "1");
    let progress = shop.progress(id, "notify", message).await;
    assert!(matches!(progress, Progress::Sent { .. }), "{progress:?}");
    assert_eq!(shop.sent().await, 1);
}

#[tokio::test]
async fn a_direct_message_goes_to_the_number_of_its_order_and_to_nobody_elses() {
    let shop = Shop::open().await;
    let id = shop.place(order(Some(contact()))).await;
    let message = ids::message_id(&id.to_string(), Kind::Shipped, "1");
    shop.progress(id, "notify", message).await;
    let ours = shop.direct(id.to_string(), "33").await;
    let progress = shop.progress(ours, "send", ours).await;
    assert!(matches!(progress, Progress::Sent { .. }), "{progress:?}");
    for (about, customer) in [(id.to_string(), "34"), ("111".to_owned(), "33")] {
        let id = shop.direct(about, customer).await;
        assert_eq!(code(&shop.progress(id, "send", id).await), "no-contact");
    }
    assert_eq!(shop.sent().await, 2);
}
