//! What providers tell of their own accord: early, twice, late, in the wrong order, and never true without asking.

use serde_json::{Value, json};

use super::{about, after, id, in_the_dark};
use crate::checker::Asked;
use crate::town::{Answer, STUCK, Setup, Town, is_step, order, reply, until};

/// A webhook of the payment provider, as anybody could send it who has learned the address.
async fn tell(town: &Town, delivery: &str, data: Value) -> Answer {
    let body = json!({ "eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-11-22T10:00:00.000000", "data": data });
    let request = town.http.post(format!(
        "{}/webhooks/payments/toss/simulated",
        town.shop.url
    ));
    let request = request
        .header("tosspayments-webhook-transmission-id", delivery)
        .json(&body);
    town.hears(request).await
}

/// What the payment provider would say of an order's payment.
fn payment(order: &str, status: &str, amount: i64) -> Value {
    json!({ "orderId": order, "paymentKey": "a-key", "status": status, "totalAmount": amount, "currency": "KRW" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_comes_before_its_order_is_kept_until_there_is_one() {
    let town = Town::open(Setup::patient().shop(&["--payment-budget", "300ms"])).await;
    let order_id = id("early");
    let told = tell(&town, "early", payment(&order_id, "DONE", 33_000)).await;
    assert_eq!(told.status, 200, "{told:?}");
    let kept = town
        .eventually("/sagas?step=find", |page| {
            page["_embedded"]["sagas"][0]["status"] == "waiting"
        })
        .await;
    let kept = kept["_embedded"]["sagas"][0]["sagaId"]
        .as_str()
        .expect("a saga")
        .to_owned();
    assert_eq!(town.get(&format!("/orders/{order_id}")).await.status, 404);
    let placed = town.insist("early", &order("ok")).await;
    town.saga_is(&kept, "completed").await;
    town.becomes(&order_id, "Shipped").await;
    assert_eq!(town.effects(&order_id).await, ["charge", "ship"]);
    town.close(vec![reply(&order_id, Asked::Place, &placed)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_twice_late_reordered_and_contradictory_leave_every_order_as_it_is() {
    let town = Town::open(Setup::patient()).await;
    let faults = [
        "webhook-duplicate",
        "webhook-late",
        "webhook-reordered",
        "webhook-contradictory",
    ];
    let rules: Vec<_> = faults
        .iter()
        .map(|fault| after(about(&id(fault), "payment", "charge", fault), 500))
        .collect();
    town.faults(&json!(rules)).await;
    for fault in faults {
        town.shipped(fault).await;
    }
    let canceled = town.shipped("canceled").await;
    assert_eq!(town.insist_on_cancel(&canceled).await.status, 200);
    town.saga_is(&canceled, "unwound").await;
    // Lies, old stories and repeats: each costs a question and changes nothing.
    let sold = id(faults[0]);
    for (nth, status) in ["ABORTED", "EXPIRED", "CANCELED", "DONE", "CANCELED"]
        .iter()
        .enumerate()
    {
        for order in [&sold, &canceled] {
            for _ in 0..2 {
                let told = tell(
                    &town,
                    &format!("{order}-{nth}"),
                    payment(order, status, 33_000),
                )
                .await;
                assert_eq!(told.status, 200, "{told:?}");
            }
        }
    }
    // What the provider itself told: each delivery once, however often it came, and both words of the one that contradicts
    // itself.
    for (fault, told) in [
        ("webhook-duplicate", &["DONE"][..]),
        ("webhook-late", &["DONE"]),
        ("webhook-reordered", &["DONE"]),
        ("webhook-contradictory", &["ABORTED", "DONE"]),
    ] {
        let order = id(fault);
        until("what the provider tells", STUCK, async || {
            let page = town.get("/events?category=webhook&limit=1000").await.body;
            let events = page["events"].as_array().cloned().unwrap_or_default();
            let own = events.iter().map(|event| &event["data"]).filter(|it| {
                // Those of the lies are named after their order.
                let by_us = it["deliveryId"]
                    .as_str()
                    .is_some_and(|id| id.starts_with(&order));
                it["port"] == "payments" && it["subject"] == order.as_str() && !by_us
            });
            let mut own: Vec<_> = own.map(|it| it["status"].as_str().unwrap_or("-")).collect();
            own.sort_unstable();
            (own == told).then_some(())
        })
        .await;
    }
    let marker = town.shipped("marker").await;
    town.quiesces(STUCK).await;
    for order in faults.map(id).iter().chain([&marker]) {
        town.becomes(order, "Shipped").await;
        assert_eq!(town.effects(order).await, ["charge", "ship"]);
    }
    town.becomes(&canceled, "Canceled").await;
    assert_eq!(
        town.effects(&canceled).await,
        ["charge", "ship", "hold", "refund", "cancel"]
    );
    town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_that_is_told_again_and_again_sends_one_message() {
    let town = Town::open(Setup::patient().shop(&["--provider-timeout", "20s"])).await;
    // While the message is on its way, so that whoever hears of the parcel might send another one.
    let order = id("a");
    town.faults(&json!([after(
        about(&order, "kakao", "send", "delay"),
        6000
    )]))
    .await;
    assert_eq!(town.paid("a").await, order);
    let running = |saga: &Value| is_step(saga, "notify", "running");
    town.eventually(&format!("/sagas/{order}"), running).await;
    town.scan(&order, "handover").await;
    let parcel = town.get(&format!("/deliveries/{order}")).await.body;
    let told = json!({ "carrierId": parcel["carrier"], "trackingNumber": parcel["waybill"] });
    let status = json!({ "orderId": order, "kind": "shipped" });
    let report = json!([{ "messageId": "M-early", "statusCode": "2000", "customFields": status }]);
    for _ in 0..5 {
        let tell = async |path: &str, body: &Value| {
            let request = town
                .http
                .post(format!("{}/webhooks/{path}/simulated", town.shop.url));
            town.hears(request.json(body)).await.status
        };
        assert_eq!(tell("deliveries/tracker", &told).await, 202);
        assert_eq!(tell("kakao/solapi", &report).await, 200);
    }
    let saga = town.get(&format!("/sagas/{order}")).await.body;
    assert!(
        running(&saga),
        "it was told while the message was on its way"
    );
    town.becomes(&order, "HandedOver").await;
    let evidence = town.close(Vec::new()).await;
    let sends = evidence.ledger.iter().filter(|line| line["op"] == "send");
    assert_eq!(sends.count(), 1);
    let left = evidence
        .events
        .iter()
        .filter(|event| event["type"] == "HandedOver");
    assert_eq!(left.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_is_not_the_orders_is_never_confirmed_nor_believed() {
    let town = Town::open(Setup::patient().shop(&["--payment-budget", "300ms"])).await;
    // The customer has authenticated another amount: the provider refuses to confirm ours, and the books say so.
    let cheap = id("cheap");
    let refused = town.place("cheap", &order("amount-1")).await;
    let refused = refused.expect("an answer");
    // A customer who waits this short may have heard only that it is open.
    assert!(matches!(refused.status, 202 | 402), "{refused:?}");
    town.becomes(&cheap, "Rejected").await;
    assert_eq!(town.effects(&cheap).await, [""; 0]);
    let story = town.story(&cheap).await;
    assert!(story.contains(&"PaymentDeclined".to_owned()), "{story:?}");
    let declined = town.get(&format!("/payments/{cheap}")).await.body;
    assert!(
        declined.to_string().contains("forbidden-request"),
        "{declined}"
    );
    town.paid_with("right", "amount-33000").await;
    // Somebody claims that one won was enough.
    let dear = id("dear");
    town.faults(&json!(in_the_dark(&dear, "drop-before-commit")))
        .await;
    let pending = town.place("dear", &order("ok")).await.expect("an answer");
    assert_eq!(pending.status, 202, "{pending:?}");
    assert_eq!(
        tell(&town, "cheap", payment(&dear, "DONE", 1)).await.status,
        200
    );
    assert_eq!(
        town.get(&format!("/orders/{dear}")).await.body["status"],
        "Pending"
    );
    town.heal().await;
    town.becomes(&dear, "Shipped").await;
    until("the whole amount", STUCK, async || {
        let payment = town.get(&format!("/payments/{dear}")).await.body;
        (payment["charged"] == 33_000).then_some(())
    })
    .await;
    let replies = vec![
        reply(&cheap, Asked::Place, &refused),
        reply(&dear, Asked::Place, &pending),
    ];
    town.close(replies).await;
}
