//! Personal data: sealed in the log, in clear only at the provider and for the customer, gone when erased.

use std::time::Duration;

use orchestrator::fulfilment::erase::Erased;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::providers::simulator::ledger::{Op, Port};
use sha2::{Digest, Sha256};

use super::shop::{CUSTOMER, Setup, Shop, order};

#[tokio::test]
async fn nothing_personal_is_in_clear_in_the_log_or_in_the_ledger() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let log = shop.log().await;
    for canary in ["Gildong", "010-1234", "timeout-", "\"ok\""] {
        let shows = |text: &str| text.contains(canary);
        assert!(
            !log.iter()
                .any(|event| shows(event.data.get()) || shows(event.metadata.get()))
        );
        assert!(!shop.ledger().iter().any(|line| shows(&format!("{line:?}"))));
    }
    let known = shop.fulfilment.order(order).await.unwrap().unwrap().value;
    let details = shop.fulfilment.details(&known).await.unwrap();
    assert_eq!(details.name.unwrap().expose(), "Hong Gildong");
    shop.close().await;
}

#[tokio::test]
async fn an_erased_customer_cannot_be_read_and_the_orders_still_add_up() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    assert_eq!(
        shop.fulfilment
            .erase(CUSTOMER, "asked to", "operator")
            .await
            .unwrap(),
        Erased::Now
    );
    let again = shop
        .fulfilment
        .erase(CUSTOMER, "asked to", "operator")
        .await
        .unwrap();
    assert_eq!(again, Erased::NothingLeft);
    let known = shop.fulfilment.order(order).await.unwrap().unwrap().value;
    let details = shop.fulfilment.details(&known).await.unwrap();
    assert!(details.name.is_none() && details.phone.is_none());
    let erasures = shop.log().await;
    let erasures = erasures
        .iter()
        .filter(|event| &*event.event_type == "SubjectErased")
        .count();
    assert_eq!(erasures, 1);
    // An order of an erased customer can still be canceled: nothing personal is needed for that.
    shop.cancel(order).await;
    shop.at_rest(order).await;
    shop.close().await;
}

#[tokio::test]
async fn an_order_whose_token_was_erased_before_it_was_charged_is_rejected() {
    let setup = Setup::default();
    let limits = Limits {
        payment_budget: Duration::from_millis(50),
        payment_deadline: Duration::from_secs(1),
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    shop.simulator.set_outage(Port::Payment, true);
    shop.place("a", "ok").await;
    shop.fulfilment
        .erase(CUSTOMER, "asked to", "operator")
        .await
        .unwrap();
    shop.simulator.set_outage(Port::Payment, false);
    shop.at_rest(Shop::id("a")).await;
    let story = shop.story(Shop::id("a")).await;
    let expected = [
        "Ordered",
        "OrderPending",
        "PaymentDeclined",
        "OrderRejected",
    ];
    assert!(
        expected
            .iter()
            .all(|event| story.contains(&event.to_string())),
        "{story:?}"
    );
    assert_eq!(shop.effects(Shop::id("a")), []);
    shop.close().await;
}

#[tokio::test]
async fn an_order_whose_customer_was_erased_before_it_was_shipped_goes_back_to_them() {
    let shop = Shop::open().await;
    shop.simulator.set_outage(Port::Carrier, true);
    let order = shop.paid("a").await;
    shop.fulfilment
        .erase(CUSTOMER, "asked to", "operator")
        .await
        .unwrap();
    shop.simulator.set_outage(Port::Carrier, false);
    let end = shop.at_rest(order).await;
    let cause = &end.state.unwind.as_ref().unwrap().cause;
    assert_eq!(cause.code, "address-erased");
    assert_eq!(shop.effects(order), [Op::Charge, Op::Refund]);
    shop.close().await;
}

#[tokio::test]
async fn a_repeat_after_an_erasure_gets_its_answer_and_leaves_no_key_behind() {
    let shop = Shop::open().await;
    let first = shop.place("a", "ok").await;
    shop.fulfilment
        .erase(CUSTOMER, "asked to", "operator")
        .await
        .unwrap();
    assert_eq!(shop.place("a", "ok").await, first);
    let keys = shop.store.subject_keys();
    assert_eq!(keys.get(CUSTOMER).await.unwrap(), None);
    // A new order of the same customer is a new beginning.
    shop.paid("b").await;
    assert!(keys.get(CUSTOMER).await.unwrap().is_some());
    shop.close().await;
}

#[tokio::test]
async fn what_tells_repeats_apart_cannot_be_guessed_without_the_master_key() {
    let shop = Shop::open().await;
    shop.paid("a").await;
    let log = shop.log().await;
    let ordered = log.iter().find(|event| &*event.event_type == "Ordered");
    let ordered: serde_json::Value = serde_json::from_str(ordered.unwrap().data.get()).unwrap();
    let plain = Sha256::digest(order("ok").canonical_bytes());
    let plain: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = ordered["commandHash"].as_str().unwrap();
    assert_eq!(kept.len(), plain.len());
    assert_ne!(kept, plain);
    shop.close().await;
}
