//! Processes that die, and several at once.

use eventstore::testing::TestDatabase;
use serde_json::json;

use super::{after, id, rule};
use crate::checker::Asked;
use crate::town::{Setup, Town, order, reply, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_any_two_steps_loses_nothing_and_repeats_nothing() {
    let mut town = Town::open(Setup::patient()).await;
    let mut replies = Vec::new();
    // Slow enough that the kill falls into the call, after its effect and before its answer is on record.
    for (port, op) in [
        ("payment", "charge"),
        ("carrier", "ship"),
        ("kakao", "send"),
    ] {
        let (key, slow) = (op, json!([after(rule(port, op, "delay"), 700)]));
        town.faults(&slow).await;
        let wanted = order("ok");
        let (url, http, body) = (town.shop.url.clone(), town.http.clone(), wanted.clone());
        let sending = tokio::spawn(async move {
            http.post(format!("{url}/orders"))
                .header("idempotency-key", key)
                .json(&body)
                .send()
                .await
                .is_ok()
        });
        let reached = format!("a started {op}");
        until(&reached, crate::town::STUCK, async || {
            started(&town, &id(key), step_of(op)).await.then_some(())
        })
        .await;
        town.restart_shop().await;
        drop(sending.await);
        town.heal().await;
        let answer = town.insist(key, &wanted).await;
        replies.push(reply(&id(key), Asked::Place, &answer));
        town.becomes(&id(key), "Shipped").await;
        assert_eq!(town.effects(&id(key)).await, ["charge", "ship"]);
    }
    for (port, op) in [
        ("carrier", "hold"),
        ("payment", "refund"),
        ("carrier", "cancel"),
        ("kakao", "send"),
    ] {
        let key = format!("back-{op}");
        let order = town.shipped(&key).await;
        town.faults(&json!([after(rule(port, op, "delay"), 700)]))
            .await;
        let (url, http, path) = (
            town.shop.url.clone(),
            town.http.clone(),
            format!("/orders/{order}"),
        );
        let canceling =
            tokio::spawn(async move { http.delete(format!("{url}{path}")).send().await.is_ok() });
        let step = if op == "send" { "tell" } else { step_of(op) };
        until(
            &format!("a started {step}"),
            crate::town::STUCK,
            async || started(&town, &order, step).await.then_some(()),
        )
        .await;
        town.restart_shop().await;
        drop(canceling.await);
        town.heal().await;
        let answer = town.insist_on_cancel(&order).await;
        replies.push(reply(&order, Asked::Cancel, &answer));
        town.saga_is(&order, "unwound").await;
        assert_eq!(
            town.effects(&order).await,
            ["charge", "ship", "hold", "refund", "cancel"]
        );
    }
    town.close(replies).await;
}

fn step_of(op: &str) -> &'static str {
    match op {
        "charge" => "pay",
        "ship" => "ship",
        "send" => "notify",
        "hold" => "hold",
        "refund" => "refund",
        "cancel" => "cancel-delivery",
        other => panic!("no step is about {other}"),
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
    let setup = Setup {
        database: Some(database.url()),
        ..Setup::patient()
    };
    let town = Town::open(setup).await;
    let other = Setup {
        database: Some(database.url()),
        ..Setup::patient()
    };
    let other = town.another_shop(&other).await;
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
