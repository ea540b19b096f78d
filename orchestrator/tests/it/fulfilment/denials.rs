//! A provider that denies a charge which is on our books: its deposit was taken back, or it only says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use orchestrator::fulfilment::hints::{About, Claim, Claimed, Heard, Port};
use orchestrator::fulfilment::limits::Limits;
use orchestrator::providers::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund,
};
use orchestrator::providers::simulator::Simulator;
use orchestrator::providers::simulator::ledger::Op;
use uuid::Uuid;

use super::shop::{Setup, Shop, TOTAL, eventually};

/// What is said when somebody asks after a charge; nothing: what is true.
type Answering = fn() -> Option<Found<ChargeNow>>;

/// Takes money like any other, and answers a question about it in its own way.
struct Till {
    simulator: Simulator,
    answer: Answering,
}

impl PaymentPort for Till {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Answer<MoneyMoved>> {
        self.simulator.charge(charge)
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
        PaymentPort::probe(&self.simulator, order_id, key)
    }

    fn find(&self, charge: ChargeName) -> BoxFuture<'_, Found<ChargeNow>> {
        match (self.answer)() {
            Some(answer) => Box::pin(async move { answer }),
            None => self.simulator.find(charge),
        }
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

async fn shop(till: fn(Simulator) -> Arc<dyn PaymentPort>) -> Shop {
    let setup = Setup::default();
    let limits = Limits {
        denied_charge_watch: Duration::from_millis(100),
        ..setup.limits
    };
    Shop::with(Setup {
        limits,
        till: Box::new(till),
        ..setup
    })
    .await
}

/// The provider says that no money moved for the charge that is on record.
async fn deny(shop: &Shop, order: Uuid, delivery: &str) {
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    let claim = Claim {
        charge: Some(payment.charges[0].provider_ref.clone()),
        state: Claimed::Nothing,
    };
    let heard = Heard {
        port: Port::Payments,
        provider: "toss",
        delivery: delivery.to_owned(),
        unnamed: false,
        topic: "DEPOSIT_CALLBACK".into(),
        status: None,
        about: About::Saga(order),
        claim: Some(claim),
    };
    shop.fulfilment.hear(heard).await.unwrap();
}

async fn mismatches(shop: &Shop, order: Uuid) -> Vec<(String, i64)> {
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    let open = payment.mismatches.iter();
    open.map(|open| (open.refusal.code.clone(), open.at_stake.amount))
        .collect()
}

#[tokio::test]
async fn a_charge_that_is_gone_at_its_provider_is_handed_to_a_person_however_old_it_is() {
    let shop = shop(|simulator| {
        let answer = || Some(Found::Nothing);
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    deny(&shop, order, "d-1").await;
    eventually(|| async { !mismatches(&shop, order).await.is_empty() }).await;
    // Told twice, it is one mismatch.
    deny(&shop, order, "d-2").await;
    assert_eq!(
        mismatches(&shop, order).await,
        [("charge-missing".to_owned(), TOTAL)]
    );
    assert!(!shop.effects(order).contains(&Op::Refund));
}

#[tokio::test]
async fn a_provider_that_denies_a_charge_and_then_says_nothing_more_is_looked_into_by_a_person() {
    let shop = shop(|simulator| {
        let answer = || Some(Found::Unknown("no money was transferred yet".into()));
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    deny(&shop, order, "d-1").await;
    eventually(|| async { !mismatches(&shop, order).await.is_empty() }).await;
    assert_eq!(
        mismatches(&shop, order).await,
        [("charge-denied".to_owned(), TOTAL)]
    );
}

#[tokio::test]
async fn a_denial_that_the_provider_does_not_stand_by_is_forgotten() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let shop = shop(|simulator| {
        let answer = || {
            ASKED.fetch_add(1, Ordering::Relaxed);
            None
        };
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    let before = shop.story(order).await;
    // While one is asked about nobody asks again: the second question comes when the first denial is done with.
    eventually(|| async {
        deny(&shop, order, "d-1").await;
        ASKED.load(Ordering::Relaxed) > 1
    })
    .await;
    assert_eq!(shop.story(order).await, before);
    shop.close().await;
}
