//! Money against time, and against itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{about, after, code, id, in_the_dark};
use crate::checker::Asked;
use crate::town::{Setup, Town, order, reply, until};

/// How soon money goes back that nobody asked for.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_the_charge_is_unknown_waits_for_it_and_refunds_once() {
    let town = Town::open(Setup::patient().shop(&[
        "--payment-budget",
        "300ms",
        "--cancel-budget",
        "300ms",
    ]))
    .await;
    let (paid, declined) = (id("paid"), id("declined"));
    let slow = |order| after(about(order, "payment", "charge", "delay"), 1500);
    let no = code(
        about(&declined, "payment", "charge", "decline"),
        "REJECT_CARD_PAYMENT",
    );
    let charges = [slow(&paid), slow(&declined), no];
    // Nobody can ask what became of them until both cancels are answered, however long that takes.
    let dark = [&paid, &declined].map(|it| about(it, "payment", "query", "drop-before-commit"));
    let both = [&charges[..], &dark].concat();
    town.faults(&json!(both)).await;
    let mut replies = Vec::new();
    for key in ["paid", "declined"] {
        let pending = town.place(key, &order("ok")).await.expect("an answer");
        assert_eq!(
            (pending.status, pending.order()),
            (202, id(key)),
            "{pending:?}"
        );
        replies.push(reply(&id(key), Asked::Place, &pending));
        let canceling = town.cancel(&id(key)).await.expect("an answer");
        assert_eq!(
            (canceling.status, &canceling.body["status"]),
            (202, &json!("Canceling")),
            "{canceling:?}"
        );
    }
    town.faults(&json!(charges)).await;
    for order in [&paid, &declined] {
        town.becomes(order, "Canceled").await;
        town.saga_is(order, "unwound").await;
        let again = town.cancel(order).await.expect("an answer");
        assert_eq!(again.status, 200, "{again:?}");
        replies.push(reply(order, Asked::Cancel, &again));
    }
    assert_eq!(town.effects(&paid).await, ["charge", "refund"]);
    assert_eq!(town.effects(&declined).await, [""; 0]);
    town.close(replies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_comes_after_the_order_expired_is_refunded_without_anyone_asking() {
    let setup = Setup::patient().shop(&["--payment-budget", "300ms", "--payment-deadline", "1s"]);
    let town = Town::open(setup).await;
    let order_id = id("late");
    // The bank takes far longer than the shop looks.
    town.faults(&json!([after(
        about(&order_id, "payment", "charge", "delay"),
        9_000
    )]))
    .await;
    let pending = town.place("late", &order("ok")).await.expect("an answer");
    assert_eq!(pending.status, 202, "{pending:?}");
    town.becomes(&order_id, "Rejected").await;
    until("a late charge that goes back", SOON, async || {
        (town.effects(&order_id).await == ["charge", "refund"]).then_some(())
    })
    .await;
    town.eventually(&format!("/payments/{order_id}"), |payment| {
        payment["refunded"] == 33_000
    })
    .await;
    town.becomes(&order_id, "Rejected").await;
    town.saga_is(&order_id, "unwound").await;
    town.close(vec![reply(&order_id, Asked::Place, &pending)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_timed_out_is_found_and_one_that_never_arrived_is_sent_again_under_its_key() {
    let town = Town::open(Setup::patient()).await;
    let (arrived, lost) = (id("arrived"), id("lost"));
    let [charged, silent] = in_the_dark(&arrived, "commit-then-drop");
    let [never, mute] = in_the_dark(&lost, "drop-before-commit");
    town.faults(&json!([charged, silent, never, mute])).await;
    for key in ["arrived", "lost"] {
        let pending = town.place(key, &order("ok")).await.expect("an answer");
        assert_eq!(pending.status, 202, "{pending:?}");
    }
    town.heal().await;
    for order in [&arrived, &lost] {
        town.becomes(order, "Shipped").await;
        let ledger = town.ledger().await;
        let charges = ledger
            .iter()
            .filter(|line| line["orderId"] == order.as_str() && line["op"] == "charge");
        let keys: BTreeSet<_> = charges.map(|line| line["key"].to_string()).collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(town.effects(order).await, ["charge", "ship"]);
    }
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cancels_at_once_refund_once_and_hear_the_same() {
    let town = Town::open(Setup::patient()).await;
    let order = town.shipped("a").await;
    let (one, other) = tokio::join!(town.insist_on_cancel(&order), town.insist_on_cancel(&order));
    assert_eq!((one.status, other.status), (200, 200), "{one:?} {other:?}");
    town.saga_is(&order, "unwound").await;
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "hold", "refund", "cancel"]
    );
    town.close(vec![
        reply(&order, Asked::Cancel, &one),
        reply(&order, Asked::Cancel, &other),
    ])
    .await;
}

/// Every line about the refund of an order: what came of it, and under which key.
async fn refunds(town: &Town, order: &str) -> Vec<(String, String)> {
    let ledger = town.ledger().await;
    let own = ledger
        .iter()
        .filter(|line| line["orderId"] == order && line["op"] == "refund");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    own.map(|line| (text(&line["result"]), text(&line["key"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_timed_out_is_looked_up_and_not_sent_twice() {
    let town = Town::open(Setup::patient().shop(&["--cancel-budget", "200ms"])).await;
    let (arrived, lost) = (town.shipped("arrived").await, town.shipped("lost").await);
    // Questions are answered, or nothing would ever be sent: the one refund is made, but its answer drips for longer than
    // anybody waits; the other one never arrives.
    town.faults(&json!([
        after(about(&arrived, "payment", "refund", "drip"), 200),
        about(&lost, "payment", "refund", "drop-before-commit"),
    ]))
    .await;
    for order in [&arrived, &lost] {
        let canceling = town.cancel(order).await.expect("an answer");
        assert_eq!(canceling.status, 202, "{canceling:?}");
    }
    let done = vec![("done".to_owned(), format!("{arrived}:refund"))];
    until("a refund that arrived", SOON, async || {
        (refunds(&town, &arrived).await == done).then_some(())
    })
    .await;
    town.eventually(&format!("/sagas/{lost}"), |saga| {
        saga["step"] == "refund" && saga["attempt"].as_u64() > Some(1)
    })
    .await;
    assert_eq!(refunds(&town, &lost).await, []);
    // The one that arrived is found while the other one still gets lost.
    town.saga_is(&arrived, "unwound").await;
    town.heal().await;
    for order in [&arrived, &lost] {
        assert_eq!(town.insist_on_cancel(order).await.status, 200);
        town.saga_is(order, "unwound").await;
        let once = [("done".to_owned(), format!("{order}:refund"))];
        assert_eq!(refunds(&town, order).await, once);
        assert_eq!(
            town.effects(order).await,
            ["charge", "ship", "hold", "refund", "cancel"]
        );
    }
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_does_not_reach_its_provider_in_time_expires() {
    let setup = Setup::patient().shop(&["--payment-budget", "300ms", "--payment-deadline", "1s"]);
    let town = Town::open(setup).await;
    let lost = about(&id("late"), "payment", "charge", "drop-before-commit");
    town.faults(&json!([lost])).await;
    let pending = town.place("late", &order("ok")).await.expect("an answer");
    assert_eq!(pending.status, 202, "{pending:?}");
    let order_id = pending.order();
    town.becomes(&order_id, "Rejected").await;
    town.heal().await;
    // The view is read as soon as it has caught up.
    town.eventually(&format!("/mypages/{order_id}"), |page| {
        page["rejected"]["code"] == "payment-expired"
    })
    .await;
    assert_eq!(town.effects(&order_id).await, [""; 0]);
    town.close(vec![reply(&order_id, Asked::Place, &pending)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_authenticated_too_long_ago_is_not_confirmed_and_expires() {
    // What comes of it is the first answer only to a customer who waits for it.
    let town = Town::open(Setup::patient().shop(&["--payment-budget", "20s"])).await;
    // The provider closes the window ten minutes after the customer has authenticated the payment.
    let ago = |seconds: i64| format!("authenticated-{}", chrono::Utc::now().timestamp() - seconds);
    let mut replies = Vec::new();
    for (key, seconds, status) in [("in-time", 540, 201), ("closed", 660, 402)] {
        let placed = town.place(key, &order(&ago(seconds))).await;
        let placed = placed.expect("an answer");
        assert_eq!(placed.status, status, "{placed:?}");
        replies.push(reply(&id(key), Asked::Place, &placed));
    }
    let closed = id("closed");
    town.eventually(&format!("/mypages/{closed}"), |page| {
        page["rejected"]["code"] == "payment-expired"
            && page["payment"]["refusal"]["code"] == "not-found-payment-session"
    })
    .await;
    assert_eq!(town.effects(&closed).await, [""; 0]);
    town.close(replies).await;
}
