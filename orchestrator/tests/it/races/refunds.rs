//! Refunds and charges whose keys do not behave as one would like, over HTTP on both sides of the shop.

use serde_json::{Value, json};

use super::{about, after, code, id, in_the_dark};
use crate::checker::{Asked, Reply};
use crate::town::{Answer, Setup, Town, order, reply};

/// A shop that answers at once where it cannot be final at once.
async fn brisk() -> Town {
    Town::open(Setup::patient().shop(&["--payment-budget", "300ms", "--cancel-budget", "300ms"]))
        .await
}

async fn cancel(town: &Town, order: &str) -> Answer {
    town.cancel(order).await.expect("an answer")
}

/// The end that every canceled order comes to, and what the customer hears then.
async fn ends_canceled(town: &Town, order: &str) -> Reply {
    town.becomes(order, "Canceled").await;
    town.saga_is(order, "unwound").await;
    let again = cancel(town, order).await;
    assert_eq!(again.status, 200, "{again:?}");
    reply(order, Asked::Cancel, &again)
}

/// The keys under which money went that way.
async fn keys(town: &Town, order: &str, op: &str) -> Vec<String> {
    let ledger = town.ledger().await;
    let own = ledger
        .iter()
        .filter(|line| line["orderId"] == order && line["op"] == op && line["result"] == "done");
    own.map(|line| line["key"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn says(saga: &Value, code: &str) -> bool {
    saga["reason"]
        .as_str()
        .is_some_and(|reason| reason.contains(code))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_failure_stays_under_its_key_is_made_once_under_another() {
    let town = brisk().await;
    let order = town.shipped("a").await;
    let failing = about(&order, "payment", "refund", "refuse");
    town.faults(&json!([code(failing, "FAILED_REFUND_PROCESS")]))
        .await;
    assert_eq!(cancel(&town, &order).await.status, 202);
    town.eventually(&format!("/sagas/{order}"), |saga| {
        says(saga, "FAILED_REFUND_PROCESS")
    })
    .await;
    town.faults(&json!([])).await;
    let reply = ends_canceled(&town, &order).await;
    let keys = keys(&town, &order, "refund").await;
    let first = format!("{order}:refund");
    assert!(
        keys.len() == 1 && keys[0].starts_with(&format!("{first}:")),
        "{keys:?}"
    );
    town.close(vec![reply]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_whose_failure_stays_under_its_key_is_made_once_under_another() {
    let town = brisk().await;
    let order_id = id("a");
    let failing = about(&order_id, "payment", "charge", "decline");
    town.faults(&json!([code(failing, "PROVIDER_ERROR")])).await;
    let placed = town.place("a", &order("ok")).await.expect("an answer");
    assert_eq!(placed.status, 202, "{placed:?}");
    town.faults(&json!([])).await;
    town.becomes(&order_id, "Shipped").await;
    assert_eq!(keys(&town, &order_id, "charge").await.len(), 1);
    town.close(vec![reply(&order_id, Asked::Place, &placed)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_is_through_later_is_waited_for_and_made_once() {
    let town = brisk().await;
    let order = town.shipped("a").await;
    town.faults(&json!([after(
        about(&order, "payment", "refund", "async"),
        1500
    )]))
    .await;
    assert_eq!(cancel(&town, &order).await.status, 202);
    let reply = ends_canceled(&town, &order).await;
    let keys = keys(&town, &order, "refund").await;
    assert_eq!(keys, [format!("{order}:refund")]);
    town.close(vec![reply]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_is_stopped_in_the_end_is_left_to_a_person() {
    let town = brisk().await;
    let order = town.shipped("a").await;
    let stopped = after(about(&order, "payment", "refund", "async"), 1);
    town.faults(&json!([code(stopped, "REFUND_REJECTED")]))
        .await;
    assert_eq!(cancel(&town, &order).await.status, 202);
    town.saga_is(&order, "parked").await;
    assert_eq!(keys(&town, &order, "refund").await, Vec::<String>::new());
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_whose_key_was_forgotten_is_not_made_twice() {
    let town = brisk().await;
    let order_id = id("a");
    town.faults(&json!(in_the_dark(&order_id, "commit-then-drop")))
        .await;
    let placed = town.place("a", &order("ok")).await.expect("an answer");
    assert_eq!(placed.status, 202, "{placed:?}");
    // From here on the provider takes the same key for a new one, and still nobody can look.
    town.faults(&json!(in_the_dark(&order_id, "forget-key")))
        .await;
    town.eventually(&format!("/sagas/{order_id}"), |saga| {
        says(saga, "ALREADY_PROCESSED_PAYMENT")
    })
    .await;
    town.faults(&json!([])).await;
    town.becomes(&order_id, "Shipped").await;
    assert_eq!(keys(&town, &order_id, "charge").await.len(), 1);
    town.close(vec![reply(&order_id, Asked::Place, &placed)])
        .await;
}
