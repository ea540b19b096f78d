//! Processes that die, and several at once.

use eventstore::testing::TestDatabase;
use reqwest::RequestBuilder;
use serde_json::json;

use super::{after, id, rule};
use crate::checker::Asked;
use crate::town::{STUCK, Setup, Town, order, reply, until};

/// Nobody asks for what is left to do after the kills: the last life finds it by sweeping.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_an_order_is_charged_shipped_or_told_about_loses_nothing_and_repeats_nothing()
{
    let mut town = Town::open(Setup::patient()).await;
    let mut orders = Vec::new();
    for step in ["pay", "ship", "notify"] {
        let wanted = order("ok");
        let place = town.http.post(format!("{}/orders", town.shop.url));
        let place = place.header("idempotency-key", step).json(&wanted);
        killed_within(&mut town, place, &id(step), step).await;
        orders.push((step, wanted));
    }
    let mut replies = Vec::new();
    for (step, wanted) in &orders {
        let answer = town.insist(step, wanted).await;
        replies.push(reply(&id(step), Asked::Place, &answer));
    }
    for (step, _) in &orders {
        let placed = id(step);
        town.becomes(&placed, "Shipped").await;
        assert_eq!(town.effects(&placed).await, ["charge", "ship"], "{step}");
    }
    town.close(replies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_any_two_steps_on_the_way_back_loses_nothing_and_repeats_nothing() {
    let mut town = Town::open(Setup::patient()).await;
    let mut orders = Vec::new();
    for step in ["hold", "refund", "cancel-delivery", "tell"] {
        let shipped = town.shipped(step).await;
        let cancel = format!("{}/orders/{shipped}", town.shop.url);
        let cancel = town.http.delete(cancel);
        killed_within(&mut town, cancel, &shipped, step).await;
        orders.push((step, shipped));
    }
    let mut replies = Vec::new();
    for (_, shipped) in &orders {
        let answer = town.insist_on_cancel(shipped).await;
        replies.push(reply(shipped, Asked::Cancel, &answer));
    }
    for (step, shipped) in &orders {
        town.saga_is(shipped, "unwound").await;
        assert_eq!(
            town.effects(shipped).await,
            ["charge", "ship", "hold", "refund", "cancel"],
            "{step}"
        );
    }
    town.close(replies).await;
}

/// Asks for something and kills the shop within a step that it leads to. The call is slow enough that the kill falls into it, after
/// its effect and before its answer is on record.
async fn killed_within(town: &mut Town, ask: RequestBuilder, order: &str, step: &str) {
    let (port, op) = call_of(step);
    let slow = json!([after(rule(port, op, "delay"), 700)]);
    town.faults(&slow).await;
    let asking = tokio::spawn(async move { ask.send().await.is_ok() });
    until(&format!("a started {step}"), STUCK, async || {
        started(town, order, step).await.then_some(())
    })
    .await;
    town.restart_shop().await;
    drop(asking.await);
    town.heal().await;
}

/// Whom a step calls, and for what.
fn call_of(step: &str) -> (&'static str, &'static str) {
    match step {
        "pay" => ("payment", "charge"),
        "ship" => ("carrier", "ship"),
        "notify" | "tell" => ("kakao", "send"),
        "hold" => ("carrier", "hold"),
        "refund" => ("payment", "refund"),
        "cancel-delivery" => ("carrier", "cancel"),
        other => panic!("no call is known of {other}"),
    }
}

async fn started(town: &Town, order: &str, step: &str) -> bool {
    let saga = town.get(&format!("/sagas/{order}")).await.body;
    let steps = saga["steps"].as_array().cloned().unwrap_or_default();
    steps
        .iter()
        .any(|it| it["step"] == step && it["standing"] == "running")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shops_on_one_log_do_everything_once() {
    let database = TestDatabase::create();
    // Customers who hear of their payment, however slow the machine is.
    let setup = || Setup {
        database: Some(database.url()),
        ..Setup::patient().shop(&["--payment-budget", "20s", "--provider-timeout", "10s"])
    };
    let town = Town::open(setup()).await;
    let other = town.another_shop(&setup()).await;
    let mut replies = Vec::new();
    for nth in 0..20 {
        let key = nth.to_string();
        let (wanted, place) = (order("ok"), format!("{}/orders", other.url));
        let elsewhere = town
            .http
            .post(place)
            .header("idempotency-key", &key)
            .json(&wanted)
            .send();
        let (here, there) = tokio::join!(town.place(&key, &wanted), elsewhere);
        let (here, there) = (
            here.expect("an answer"),
            there.expect("an answer").status().as_u16(),
        );
        assert_eq!((here.status, there), (201, 201), "{here:?}");
        replies.push(reply(&id(&key), Asked::Place, &here));
        if nth % 2 == 0 {
            let order = id(&key);
            let elsewhere = town
                .http
                .delete(format!("{}/orders/{order}", other.url))
                .send();
            let (here, there) = tokio::join!(town.insist_on_cancel(&order), elsewhere);
            assert_eq!(here.status, 200, "{here:?}");
            assert!(matches!(
                there.expect("an answer").status().as_u16(),
                200 | 202 | 409
            ));
            replies.push(reply(&order, Asked::Cancel, &here));
        }
    }
    town.close(replies).await;
}
