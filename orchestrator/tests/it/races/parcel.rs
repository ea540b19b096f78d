//! The parcel against the cancel.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::{about, id};
use crate::checker::{Asked, Reply};
use crate::town::{Answer, STUCK, Setup, Town, reply, until};

/// When the van comes, after the carrier accepted the parcel: later than a cancel that is asked for at once takes on a busy machine.
const VAN: Duration = Duration::from_secs(3);

/// A cancel that either side may win comes so many milliseconds after the parcel is seen to be shipped.
const CLOSE: [u64; 5] = [2_800, 2_900, 2_950, 3_000, 3_050];

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_whose_key_was_forgotten_makes_no_second_parcel() {
    let town = Town::open(Setup::patient()).await;
    let order = id("a");
    let dark = |fault| {
        [
            about(&order, "carrier", "ship", fault),
            about(&order, "carrier", "query", "drop-before-commit"),
        ]
    };
    town.faults(&json!(dark("commit-then-drop"))).await;
    assert_eq!(town.paid("a").await, order);
    until("a parcel that nobody knows of", STUCK, async || {
        (town.effects(&order).await == ["charge", "ship"]).then_some(())
    })
    .await;
    // From here on the carrier takes the same key for a new one, and still nobody can look.
    town.faults(&json!(dark("forget-key"))).await;
    town.becomes(&order, "Shipped").await;
    town.heal().await;
    let ledger = town.ledger().await;
    let asked = ledger
        .iter()
        .filter(|line| line["orderId"] == order.as_str() && line["op"] == "ship");
    assert!(asked.count() > 1, "it was asked for again");
    assert_eq!(town.effects(&order).await, ["charge", "ship"]);
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_against_the_van_has_one_winner_and_the_loser_is_told_to_return_it() {
    let van = format!("{}s", VAN.as_secs());
    let town = Town::open(Setup::patient().world(&["--simulated-handover-after", &van])).await;
    let close = CLOSE.map(|wait| Some(Duration::from_millis(wait)));
    let waits = [Some(Duration::ZERO), None].into_iter().chain(close);
    // Each with a van of its own, so that all wait at once.
    let racing = waits
        .enumerate()
        .map(|(nth, wait)| against_the_van(&town, nth, wait));
    let replies = join_all(racing).await;
    let ends: BTreeSet<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(ends, [200, 409].into(), "one side always won");
    town.close(replies).await;
}

/// Cancels a shipped order after so long, or once its parcel is gone.
async fn against_the_van(town: &Town, nth: usize, wait: Option<Duration>) -> Reply {
    let order = town.paid(&nth.to_string()).await;
    match wait {
        Some(wait) => {
            town.becomes(&order, "Shipped").await;
            tokio::time::sleep(wait).await;
        }
        None => {
            town.becomes(&order, "HandedOver").await;
        }
    }
    let answer = town.insist_on_cancel(&order).await;
    if answer.status == 409 {
        assert!(answer.text.contains("return"), "{answer:?}");
    }
    reply(&order, Asked::Cancel, &answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_delivers_what_was_canceled_is_an_exception_that_a_person_gets() {
    let town = Town::open(Setup::patient()).await;
    let order = town.shipped("a").await;
    let answer = town.insist_on_cancel(&order).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    town.saga_is(&order, "unwound").await;
    // The van takes along even what it promised to leave.
    for scan in ["handover", "deliver"] {
        town.scan(&order, scan).await;
    }
    let parked = town.saga_is(&order, "parked").await;
    assert_eq!(parked["atStake"]["amount"], 33_000, "{parked}");
    let delivery = town.get(&format!("/deliveries/{order}")).await.body;
    assert_eq!(
        delivery["exception"]["code"], "scan-after-hold",
        "{delivery}"
    );
    town.becomes(&order, "Canceled").await;
    town.close(vec![reply(&order, Asked::Cancel, &answer)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_after_a_granted_hold_stops_the_refund_that_was_not_sent() {
    let town = Town::open(Setup::patient().shop(&["--cancel-budget", "300ms"])).await;
    let order = town.shipped("a").await;
    town.faults(&json!([about(
        &order,
        "payment",
        "refund",
        "drop-before-commit"
    )]))
    .await;
    let canceling = town.cancel(&order).await.expect("an answer");
    assert_eq!(canceling.status, 202, "{canceling:?}");
    town.eventually(&format!("/deliveries/{order}"), |delivery| {
        delivery["status"] == "DeliveryHeld"
    })
    .await;
    town.scan(&order, "handover").await;
    let parked = town.saga_is(&order, "parked").await;
    assert_eq!(parked["atStake"]["amount"], 33_000, "{parked}");
    town.heal().await;
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "hold", "handover"]
    );
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_a_person_lets_stand_is_told_as_one_and_cannot_be_canceled_any_more() {
    let town = Town::open(Setup::patient().shop(&["--cancel-budget", "300ms"])).await;
    let order = town.shipped("a").await;
    town.faults(&json!([about(
        &order,
        "payment",
        "refund",
        "drop-before-commit"
    )]))
    .await;
    let canceling = town.cancel(&order).await.expect("an answer");
    assert_eq!(canceling.status, 202, "{canceling:?}");
    town.eventually(&format!("/deliveries/{order}"), |delivery| {
        delivery["status"] == "DeliveryHeld"
    })
    .await;
    town.scan(&order, "handover").await;
    town.saga_is(&order, "parked").await;
    town.heal().await;
    let verb = format!("{}/sagas/{order}/resolve", town.shop.url);
    let wish = json!({ "step": "handover", "outcome": "done", "reason": "the customer has it" });
    let asked = town.http.post(verb).json(&wish).send().await;
    let stands = Answer::of(asked.expect("an answer")).await;
    // A refund that nobody heard of is looked for first.
    assert!(matches!(stands.status, 200 | 202), "{stands:?}");
    town.saga_is(&order, "unwound").await;
    town.becomes(&order, "HandedOver").await;
    let page = town
        .eventually(&format!("/mypages/{order}"), |page| {
            page["status"] == "HandedOver"
        })
        .await;
    let said = page["statusText"].as_str().expect("a sentence");
    assert!(said.contains("on its way"), "{page}");
    assert_eq!(page["payment"]["refunded"], 0, "{page}");
    let refused = town.insist_on_cancel(&order).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.text.contains("return"), "{refused:?}");
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "hold", "handover"]
    );
    town.close(vec![reply(&order, Asked::Cancel, &refused)])
        .await;
}
