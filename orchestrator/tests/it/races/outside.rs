//! What happens at the payment provider without the shop having asked.

use serde_json::{Value, json};

use super::{about, refund_by_hand};
use crate::checker::{self, Asked, Rule};
use crate::town::{Answer, STUCK, Setup, Town, order, reply, until};

/// Compares the books with the providers', as an operator would.
async fn reconcile(town: &Town) -> Value {
    let wish = json!({ "since": "1h", "fix": true, "reason": "a customer called" });
    until("a comparison", STUCK, async || {
        let request = town
            .http
            .post(format!("{}/reconcile", town.shop.url))
            .json(&wish);
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert!(matches!(answer.status, 200 | 409), "{answer:?}");
        (answer.status == 200).then_some(answer.body)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_made_in_the_providers_dashboard_is_imported_and_the_parcel_stays() {
    let town = Town::open(Setup::patient()).await;
    let wanted = order("ok");
    let placed = town.place("a", &wanted).await.expect("an answer");
    let order_id = placed.order();
    town.becomes(&order_id, "Shipped").await;
    let key = wanted["payment"]["token"].as_str().expect("a token");
    refund_by_hand(&town, key, None).await;
    reconcile(&town).await;
    town.becomes(&order_id, "Canceled").await;
    town.saga_is(&order_id, "unwound").await;
    assert_eq!(
        town.effects(&order_id).await,
        ["charge", "ship", "refund", "hold", "cancel"]
    );
    let payment = town.get(&format!("/payments/{order_id}")).await.body;
    assert_eq!(
        (&payment["charged"], &payment["refunded"]),
        (&json!(33_000), &json!(33_000)),
        "{payment}"
    );
    town.close(vec![reply(&order_id, Asked::Place, &placed)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_charge_of_a_canceled_order_goes_back_although_its_first_refund_was_lost() {
    let town = Town::open(Setup::patient()).await;
    let order = town.shipped("a").await;
    let canceled = town.insist_on_cancel(&order).await;
    assert_eq!(canceled.status, 200, "{canceled:?}");
    town.saga_is(&order, "unwound").await;
    town.charge_again(&order, 33_000).await;
    // Whoever asks the provider for the payment of the order is shown the first one, which is back.
    town.faults(&json!([about(
        &order,
        "payment",
        "refund",
        "drop-before-commit"
    )]))
    .await;
    reconcile(&town).await;
    let returns = "/sagas?step=return-charge";
    town.eventually(returns, |page| {
        let saga = &page["_embedded"]["sagas"][0];
        saga["attempt"].as_u64() > Some(1)
    })
    .await;
    let first = ["charge", "ship", "hold", "refund", "cancel"];
    let first: Vec<_> = first.into_iter().chain(["charge"]).collect();
    assert_eq!(town.effects(&order).await, first);
    town.heal().await;
    let both: Vec<_> = first.into_iter().chain(["refund"]).collect();
    until("a second charge that goes back", STUCK, async || {
        (town.effects(&order).await == both).then_some(())
    })
    .await;
    town.eventually(&format!("/payments/{order}"), |payment| {
        payment["charged"] == 66_000 && payment["refunded"] == 66_000
    })
    .await;
    town.close(vec![reply(&order, Asked::Cancel, &canceled)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_charges_for_one_order_the_first_is_kept_and_the_second_goes_back() {
    let town = Town::open(Setup::patient()).await;
    let order = town.shipped("a").await;
    town.charge_again(&order, 33_000).await;
    reconcile(&town).await;
    until("a second charge that goes back", STUCK, async || {
        (town.effects(&order).await == ["charge", "ship", "charge", "refund"]).then_some(())
    })
    .await;
    town.quiesces(STUCK).await;
    town.becomes(&order, "Shipped").await;
    let evidence = town.evidence(Vec::new()).await;
    let found = checker::check(&evidence);
    // The outside checker sees what was planted, and nothing else.
    let planted = found
        .iter()
        .all(|finding| finding.rule == Rule::DoubleCharge && finding.subject == order);
    assert!(planted && found.len() == 1, "{}", checker::tell(&found));
    // Comparing once more finds nothing left to do.
    let again = reconcile(&town).await;
    assert_eq!(again["findings"], json!([]), "{again}");
}

/// A shop that compares every second, and that no webhook reaches: it says another word than its providers know.
fn watchful() -> Setup {
    Setup::patient().shop(&[
        "--reconcile-every",
        "1s",
        "--webhook-secret",
        "not-the-one-that-they-know",
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_did_by_itself_is_found_without_anyone_asking_and_without_a_webhook() {
    let town = Town::open(watchful()).await;
    let wanted = order("ok");
    let refunded = town.place("refunded", &wanted).await.expect("an answer");
    let refunded = refunded.order();
    let twice = town.shipped("twice").await;
    town.becomes(&refunded, "Shipped").await;
    refund_by_hand(
        &town,
        wanted["payment"]["token"].as_str().expect("a token"),
        None,
    )
    .await;
    town.charge_again(&twice, 33_000).await;
    town.becomes(&refunded, "Canceled").await;
    town.saga_is(&refunded, "unwound").await;
    assert_eq!(
        town.effects(&refunded).await,
        ["charge", "ship", "refund", "hold", "cancel"]
    );
    until("a second charge that goes back", STUCK, async || {
        (town.effects(&twice).await == ["charge", "ship", "charge", "refund"]).then_some(())
    })
    .await;
    town.quiesces(STUCK).await;
    town.becomes(&twice, "Shipped").await;
    let evidence = town.evidence(Vec::new()).await;
    let told = |event: &&Value| event["type"] == "WebhookReceived";
    assert_eq!(evidence.events.iter().filter(told).count(), 0);
    let found = checker::check(&evidence);
    let planted = found
        .iter()
        .all(|finding| finding.rule == Rule::DoubleCharge && finding.subject == twice);
    assert!(planted && found.len() == 1, "{}", checker::tell(&found));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_settle_is_in_the_metrics_among_what_is_parked_and_in_the_view() {
    let town = Town::open(watchful()).await;
    let wanted = order("ok");
    let placed = town.place("a", &wanted).await.expect("an answer");
    let order = placed.order();
    town.becomes(&order, "Shipped").await;
    // A part went back by hand, and somebody paid for an order that there is not.
    let key = wanted["payment"]["token"].as_str().expect("a token");
    refund_by_hand(&town, key, Some(3_000)).await;
    let nobodys = "00000000-0000-4000-8000-000000000000";
    town.charge_again(nobodys, 7_000).await;
    let parked = town
        .eventually("/sagas?status=parked", |page| page["page"]["count"] == 2)
        .await;
    let parked = parked["_embedded"]["sagas"].as_array().cloned();
    let mut stakes: Vec<_> = parked
        .into_iter()
        .flatten()
        .map(|saga| {
            assert_eq!(saga["saga"], "mismatch");
            let told = |field: &str| saga[field].as_str().is_some_and(|it| !it.is_empty());
            assert!(told("reason") && told("suggestion"), "{saga}");
            let code = saga["code"].as_str().expect("a code").to_owned();
            (code, saga["atStake"]["amount"].as_i64())
        })
        .collect();
    stakes.sort();
    assert_eq!(
        stakes,
        [
            ("partly-refunded".to_owned(), Some(3_000)),
            ("unknown-order".to_owned(), Some(7_000))
        ]
    );
    let page = town
        .eventually(&format!("/mypages/{order}"), |page| {
            page["payment"]["mismatches"][0]["code"] == "partly-refunded"
        })
        .await;
    assert_eq!(page["payment"]["paid"], 33_000, "{page}");
    let wanted = [
        "bookmarket_reconcile_findings{kind=\"provider-only\",fix=\"on-request\"} 1",
        "bookmarket_reconcile_findings{kind=\"amount-mismatch\",fix=\"person\"} 1",
        "bookmarket_reconcile_actions_total{action=\"parked\"} 2",
    ];
    until("all findings in the metrics", STUCK, async || {
        let metrics = town.get("/metrics").await.text;
        wanted
            .iter()
            .all(|line| metrics.contains(line))
            .then_some(())
    })
    .await;
}
