//! Personal data: sealed in the log, in clear only at the provider and for the customer, gone when erased.

use orchestrator::fulfilment::erase::Erased;

use super::shop::{CUSTOMER, Shop};

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
