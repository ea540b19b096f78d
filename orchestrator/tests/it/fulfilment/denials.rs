//! A provider that denies a charge which is on our books: its deposit was taken back, or it only says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aggregates::saga::Phase;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use orchestrator::fulfilment::Fulfilment;
use orchestrator::fulfilment::hints::{About, Claim, Claimed, Heard, Port};
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::reconcile::Mode;
use orchestrator::fulfilment::reconcile::report::Action;
use orchestrator::providers::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund,
};
use orchestrator::providers::simulator::Simulator;
use orchestrator::providers::simulator::ledger::Op;
use uuid::Uuid;

use super::mismatches::return_a_part;
use super::reconciles::{codes, compare, count, kept, plant_charge, plant_refund};
use super::shop::{Setup, Shop, TOTAL, eventually};

/// What is said when somebody asks after a charge; nothing: what is true.
pub(super) type Answering = fn() -> Option<Found<ChargeNow>>;

/// Takes money like any other, and answers a question about it in its own way.
pub(super) struct Till {
    pub(super) simulator: Simulator,
    pub(super) answer: Answering,
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

pub(super) async fn shop(till: fn(Simulator) -> Arc<dyn PaymentPort>) -> Shop {
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

/// The provider says that no money moved for the charge that is on record; the saga that asks about it.
async fn deny(shop: &Shop, order: Uuid, delivery: &str) -> Uuid {
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    let charge = payment.charges[0].provider_ref.clone();
    hear(&shop.fulfilment, order, Some(charge), delivery).await
}

async fn hear(process: &Fulfilment, order: Uuid, charge: Option<String>, delivery: &str) -> Uuid {
    let state = Claimed::Nothing;
    let heard = Heard {
        port: Port::Payments,
        provider: "toss",
        delivery: delivery.to_owned(),
        unnamed: false,
        topic: "DEPOSIT_CALLBACK".into(),
        status: None,
        about: About::Saga(order),
        claim: Some(Claim { charge, state }),
    };
    process.hear(heard).await.unwrap();
    aggregates::ids::webhook_id("toss", delivery)
}

pub(super) async fn mismatches(shop: &Shop, order: Uuid) -> Vec<(String, i64)> {
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
    let shop = shop(|simulator| {
        let answer = || None;
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    let before = shop.story(order).await;
    // The same delivery is one doubt; the next one is asked about again.
    for delivery in ["d-1", "d-1", "d-2"] {
        let doubt = deny(&shop, order, delivery).await;
        let over = shop.at_rest(doubt).await;
        assert_eq!(over.state.phase, Phase::Completed);
        assert_eq!(over.state.output("ask").unwrap()["came"], "refuted");
    }
    assert_eq!(shop.story(order).await, before);
    shop.close().await;
}

#[tokio::test]
async fn a_doubt_outlives_the_process_that_heard_of_it() {
    static GONE: AtomicBool = AtomicBool::new(false);
    let shop = shop(|simulator| {
        let answer = || {
            let gone = GONE.load(Ordering::SeqCst);
            let silent = || Found::Unknown("it does not answer".into());
            Some(if gone { Found::Nothing } else { silent() })
        };
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    let patient = Limits {
        denied_charge_watch: Duration::from_hours(1),
        ..shop.parts().limits
    };
    let dying = shop.another_with(patient);
    // It names no charge, as a deposit does not.
    let doubt = hear(&dying, order, None, "d-1").await;
    dying.engine().halt();
    assert_eq!(mismatches(&shop, order).await, []);
    GONE.store(true, Ordering::SeqCst);
    shop.fulfilment.engine().hint(doubt, "ask");
    let over = shop.at_rest(doubt).await;
    assert_eq!(over.state.output("ask").unwrap()["came"], "seen-to");
    assert_eq!(
        mismatches(&shop, order).await,
        [("charge-missing".to_owned(), TOTAL)]
    );
}

#[tokio::test]
async fn a_denied_charge_that_went_back_in_parts_is_imported_and_its_book_called_off() {
    let shop = shop(|simulator| {
        let answer = || None;
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    for (key, amount) in [("first", 16_500), ("second", 16_500)] {
        return_a_part(&shop, order, key, amount).await;
    }
    let doubt = deny(&shop, order, "d-1").await;
    shop.at_rest(doubt).await;
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    assert_eq!(mismatches(&shop, order).await, []);
    assert_eq!(kept(&shop, order).await, 0);
    let effects = shop.effects(order);
    assert_eq!(
        (count(&effects, Op::Refund), count(&effects, Op::Cancel)),
        (2, 1)
    );
}

/// Given back like a second charge, it would leave a book on its way that nobody has paid for.
#[tokio::test]
async fn the_only_charge_that_a_provider_still_has_is_given_back_by_nobody_but_a_person() {
    let shop = shop(|simulator| {
        let answer = || Some(Found::Nothing);
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    plant_charge(&shop, order, "paid once more").await;
    for action in [Action::Parked, Action::UnderWay] {
        let report = compare(&shop, Mode::Automatic).await;
        assert_eq!(codes(&report), [("charge-by-another-name", action)]);
    }
    assert!(!shop.effects(order).contains(&Op::Refund));
}

#[tokio::test]
async fn a_refund_that_a_list_shows_and_its_provider_does_not_stand_by_yet_is_not_imported() {
    static THROUGH: AtomicBool = AtomicBool::new(false);
    let shop = shop(|simulator| {
        let answer = || {
            let through = THROUGH.load(Ordering::SeqCst);
            (!through).then(|| Found::Undecided("the money is on its way back".into()))
        };
        Arc::new(Till { simulator, answer })
    })
    .await;
    let order = shop.shipped("a").await;
    let payment = shop.fulfilment.payment(order).await.unwrap().unwrap().value;
    plant_refund(&shop, order, &payment.charges[0].provider_ref).await;
    let before = shop.story(order).await;
    assert_eq!(codes(&compare(&shop, Mode::Automatic).await), []);
    assert_eq!(shop.story(order).await, before);
    THROUGH.store(true, Ordering::SeqCst);
    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("refunded-outside", Action::Fixed)]);
    let end = shop.until(order, |saga| saga.state.is_finished()).await;
    assert_eq!(end.state.phase, Phase::Unwound);
    shop.close().await;
}
