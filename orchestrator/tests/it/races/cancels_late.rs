//! Every row of the table of cancels, over HTTP on both sides of the shop: too late, or where somebody says no.

use serde_json::{Value, json};

use super::{about, code, id, refund_by_hand};
use crate::checker::Asked;
use crate::town::{Answer, Setup, Town, order, reply};

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_left_can_only_be_returned_and_one_that_arrived_too() {
    let town = Town::open(Setup::patient()).await;
    let order = town.shipped("a").await;
    let mut replies = Vec::new();
    // Vans that come by themselves might both have been before anybody looks.
    for (scan, status) in [("handover", "HandedOver"), ("deliver", "Delivered")] {
        town.scan(&order, scan).await;
        town.becomes(&order, status).await;
        let refused = town.cancel(&order).await.expect("an answer");
        assert_eq!(
            (refused.status, &refused.body["type"]),
            (409, &json!("/problems/past-point-of-no-return"))
        );
        replies.push(reply(&order, Asked::Cancel, &refused));
    }
    town.saga_is(&order, "completed").await;
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "handover", "deliver"]
    );
    town.close(replies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_that_the_carrier_refuses_for_good_is_refunded_in_the_systems_name() {
    let town = Town::open(Setup::patient()).await;
    town.faults(&json!([code(
        about(&id("a"), "carrier", "ship", "refuse"),
        "address-refused"
    )]))
    .await;
    let order = town.paid("a").await;
    let canceled = town.becomes(&order, "Canceled").await;
    assert_eq!(canceled["canceled"]["actor"], "system");
    assert_eq!(
        canceled["canceled"]["reason"], "The carrier does not deliver to this address.",
        "{canceled}"
    );
    town.saga_is(&order, "unwound").await;
    assert_eq!(town.effects(&order).await, ["charge", "refund"]);
    let again = town.insist_on_cancel(&order).await;
    assert_eq!(again.status, 200, "{again:?}");
    town.close(vec![reply(&order, Asked::Cancel, &again)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_refused_for_good_keeps_the_parcel_held_and_parks_until_a_person_resolves_it() {
    let town = Town::open(Setup::patient().shop(&["--cancel-budget", "500ms"])).await;
    let wanted = order("ok");
    let placed = town.place("a", &wanted).await.expect("an answer");
    let order = placed.order();
    town.becomes(&order, "Shipped").await;
    town.faults(&json!([code(
        about(&order, "payment", "refund", "refuse"),
        "NOT_CANCELABLE_PAYMENT"
    )]))
    .await;
    let canceling = town.cancel(&order).await.expect("an answer");
    assert_eq!(canceling.status, 202, "{canceling:?}");
    let parked = town.saga_is(&order, "parked").await;
    assert_eq!(
        (&parked["step"], &parked["atStake"]["amount"]),
        (&json!("refund"), &json!(33_000)),
        "{parked}"
    );
    assert_eq!(town.effects(&order).await, ["charge", "ship", "hold"]);
    // A person gives the money back at the provider's desk and says so. Whoever says it before it is so is not believed.
    let resolve = async || {
        let verb = format!("{}/sagas/{order}/resolve", town.shop.url);
        let wish = json!({
            "step": "refund", "outcome": "done", "evidence": { "ref": "by-hand" }, "reason": "given back at the desk",
        });
        let asked = town.http.post(verb).json(&wish).send().await;
        Answer::of(asked.expect("an answer")).await
    };
    let early = resolve().await;
    assert_eq!(early.status, 409, "{early:?}");
    town.saga_is(&order, "parked").await;
    town.heal().await;
    let key = wanted["payment"]["token"].as_str().expect("a token");
    refund_by_hand(&town, key, None).await;
    let done = resolve().await;
    assert_eq!(done.status, 200, "{done:?}");
    town.saga_is(&order, "unwound").await;
    assert_eq!(
        town.effects(&order).await,
        ["charge", "ship", "hold", "refund", "cancel"]
    );
    let again = town.insist_on_cancel(&order).await;
    assert_eq!(again.status, 200, "{again:?}");
    // What the provider's books say stands in ours, not what the person typed.
    let page = town.get(&format!("/orders/{order}/events")).await.body;
    assert!(
        !page.to_string().contains("\"refundRef\":\"by-hand\""),
        "{page}"
    );
    let evidence = town.close(vec![reply(&order, Asked::Cancel, &again)]).await;
    let resolved = |event: &&Value| event["type"] == "StepResolved";
    assert_eq!(evidence.events.iter().filter(resolved).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn final_answers_over_http_never_change() {
    let town = Town::open(Setup::patient()).await;
    let canceled = town.shipped("canceled").await;
    let mut replies = Vec::new();
    for _ in 0..3 {
        let answer = town.insist_on_cancel(&canceled).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        replies.push(reply(&canceled, Asked::Cancel, &answer));
    }
    let declined = town
        .place("declined", &order("decline"))
        .await
        .expect("an answer");
    assert_eq!(declined.status, 402, "{declined:?}");
    replies.push(reply(&declined.order(), Asked::Place, &declined));
    for _ in 0..2 {
        let answer = town.cancel(&declined.order()).await.expect("an answer");
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (409, &json!("/problems/already-rejected"))
        );
    }
    let unknown = town
        .cancel("00000000-0000-4000-8000-000000000000")
        .await
        .expect("an answer");
    assert_eq!(unknown.status, 404, "{unknown:?}");
    town.saga_is(&canceled, "unwound").await;
    town.close(replies).await;
}
