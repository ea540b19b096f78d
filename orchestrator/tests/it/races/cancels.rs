//! Every row of the table of cancels, over HTTP on both sides of the shop: before the parcel has left.

use serde_json::json;

use super::{about, after, code, id, in_the_dark, rule};
use crate::checker::{Asked, Reply};
use crate::town::{Answer, Setup, Town, order, reply};

/// A shop that answers at once where it cannot be final at once.
fn brisk() -> Setup {
    Setup::patient().shop(&["--payment-budget", "300ms", "--cancel-budget", "300ms"])
}

#[track_caller]
fn is_canceling(answer: &Answer) {
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (202, &json!("Canceling")),
        "{answer:?}"
    );
}

/// Waits for the end that every such order comes to, and asks once more.
async fn ends_canceled(town: &Town, order: &str) -> Reply {
    town.becomes(order, "Canceled").await;
    town.saga_is(order, "unwound").await;
    let again = town.cancel(order).await.expect("an answer");
    assert_eq!(
        (again.status, &again.body["status"]),
        (200, &json!("Canceled")),
        "{again:?}"
    );
    reply(order, Asked::Cancel, &again)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_in_flight_over_http_is_resolved_before_the_order_is_canceled() {
    // The charge is in flight for far longer than it takes to hear that the order is open and then that it is being canceled.
    let town = Town::open(brisk().shop(&["--provider-timeout", "10s"])).await;
    let order_id = id("a");
    town.faults(&json!([after(
        about(&order_id, "payment", "charge", "delay"),
        3_200
    )]))
    .await;
    assert_eq!(
        town.place("a", &order("ok"))
            .await
            .expect("an answer")
            .status,
        202
    );
    is_canceling(&town.cancel(&order_id).await.expect("an answer"));
    let reply = ends_canceled(&town, &order_id).await;
    assert_eq!(town.effects(&order_id).await, ["charge", "refund"]);
    town.close(vec![reply]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_charge_over_http_that_was_declined_leaves_nothing_to_undo() {
    let town = Town::open(brisk()).await;
    let order_id = id("a");
    town.faults(&json!(in_the_dark(&order_id, "drop-before-commit")))
        .await;
    assert_eq!(
        town.place("a", &order("ok"))
            .await
            .expect("an answer")
            .status,
        202
    );
    is_canceling(&town.cancel(&order_id).await.expect("an answer"));
    town.faults(&json!([code(
        about(&order_id, "payment", "charge", "decline"),
        "REJECT_CARD_PAYMENT"
    )]))
    .await;
    let reply = ends_canceled(&town, &order_id).await;
    assert_eq!(town.effects(&order_id).await, [""; 0]);
    town.close(vec![reply]).await;
}

/// Orders until the shop has found out that its carrier is away, and asks it nothing any more.
async fn carrier_is_left_alone(town: &Town) -> Vec<Reply> {
    town.faults(&json!([rule("carrier", "ship", "down")])).await;
    let mut replies = Vec::new();
    for nth in 0..5 {
        let answer = town.place(&format!("before-{nth}"), &order("ok")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 201, "{answer:?}");
        replies.push(reply(&answer.order(), Asked::Place, &answer));
    }
    town.eventually("/readyz", |ready| {
        let mut providers = ready["providers"].as_array().into_iter().flatten();
        providers.any(|it| it["provider"] == "carrier" && it["breaker"] == "open")
    })
    .await;
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_whose_parcel_never_was_asked_for_is_refunded_without_a_hold() {
    let setup = Setup::patient().shop(&[
        "--breaker-min-calls",
        "5",
        "--breaker-open-for",
        "1h",
        "--cancel-budget",
        "30s",
        "--payment-budget",
        "20s",
        "--provider-timeout",
        "10s",
    ]);
    let mut town = Town::open(setup).await;
    let mut replies = carrier_is_left_alone(&town).await;
    let order = town.paid("a").await;
    let saga = town.get(&format!("/sagas/{order}")).await.body;
    let begun = |step: &serde_json::Value| step["type"] == "StepStarted";
    let steps: Vec<_> = saga["history"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|it| begun(it))
        .collect();
    assert_eq!(
        steps.len(),
        1,
        "nothing but the payment was begun: {steps:?}"
    );
    let canceled = town.cancel(&order).await.expect("an answer");
    assert_eq!(
        (canceled.status, &canceled.body["status"]),
        (200, &json!("Canceled")),
        "{canceled:?}"
    );
    assert_eq!(town.effects(&order).await, ["charge", "refund"]);
    // A process that starts anew knows nothing of a carrier that is away.
    town.heal().await;
    town.restart_shop().await;
    for reply in &replies {
        town.becomes(&reply.order, "Shipped").await;
    }
    replies.push(ends_canceled(&town, &order).await);
    assert_eq!(town.effects(&order).await, ["charge", "refund"]);
    town.close(replies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_in_flight_over_http_is_resolved_and_then_held() {
    let town = Town::open(Setup::patient()).await;
    town.faults(&json!([after(
        about(&id("a"), "carrier", "ship", "delay"),
        600
    )]))
    .await;
    let order = town.paid("a").await;
    assert_eq!(town.cancel(&order).await.expect("an answer").status, 200);
    let reply = ends_canceled(&town, &order).await;
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "hold", "refund", "cancel"]
    );
    town.close(vec![reply]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipped_parcel_is_held_then_refunded_then_called_off_over_http() {
    let town = Town::open(Setup::patient()).await;
    let order = town.shipped("a").await;
    assert_eq!(town.cancel(&order).await.expect("an answer").status, 200);
    let reply = ends_canceled(&town, &order).await;
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "hold", "refund", "cancel"]
    );
    let story = town.story(&order).await;
    let unwound = [
        "OrderCancelRequested",
        "DeliveryHeld",
        "OrderCanceled",
        "PayCanceled",
        "DeliveryCanceled",
    ];
    let of_order = story
        .iter()
        .filter(|event| unwound.contains(&event.as_str()));
    assert!(of_order.eq(unwound.iter()), "{story:?}");
    town.close(vec![reply]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_hold_over_http_moves_no_money() {
    let town = Town::open(brisk()).await;
    let order = town.shipped("a").await;
    let held = about(&order, "carrier", "hold", "commit-then-drop");
    town.faults(&json!([
        held,
        rule("carrier", "query", "drop-before-commit")
    ]))
    .await;
    is_canceling(&town.cancel(&order).await.expect("an answer"));
    // The hold was granted, and the shop has asked for it more than once without hearing so.
    town.eventually(&format!("/sagas/{order}"), |saga| {
        saga["step"] == "hold" && saga["attempt"].as_u64() > Some(1)
    })
    .await;
    assert_eq!(town.effects(&order).await, ["charge", "ship", "hold"]);
    town.heal().await;
    let reply = ends_canceled(&town, &order).await;
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "hold", "refund", "cancel"]
    );
    town.close(vec![reply]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_hold_over_http_refuses_the_cancel_and_the_order_stays_shipped() {
    let town = Town::open(Setup::patient()).await;
    let order = town.shipped("a").await;
    town.faults(&json!([code(
        about(&order, "carrier", "hold", "refuse"),
        "handed-over"
    )]))
    .await;
    let refused = town.insist_on_cancel(&order).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    town.becomes(&order, "Shipped").await;
    assert_eq!(town.effects(&order).await, ["charge", "ship"]);
    town.close(vec![reply(&order, Asked::Cancel, &refused)])
        .await;
}
