//! A charge nobody knows the end of, from the customer's side.

use std::time::Duration;

use serde_json::json;

use super::{about, after, id, in_the_dark};
use crate::checker::Asked;
use crate::town::{STUCK, Setup, Town, order, reply, until};

/// The types of an order's events as a listener of the live stream hears them, until one of these.
async fn heard(town: &Town, order: &str, last: &str) -> Vec<String> {
    let url = format!("{}/events/stream?after=0&category=order", town.shop.url);
    let mut stream = town.http.get(url).send().await.expect("a stream");
    let (mut text, mut heard) = (String::new(), Vec::new());
    let listening = async {
        while !heard.iter().any(|kind| kind == last) {
            let chunk = stream.chunk().await.expect("more").expect("an open stream");
            text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((event, rest)) = text.split_once("\n\n") {
                let data = event
                    .lines()
                    .find_map(|line| line.strip_prefix("data: "))
                    .unwrap_or("null");
                let event: serde_json::Value = serde_json::from_str(data).expect("JSON");
                if event["stream"] == format!("order-{order}") {
                    heard.push(event["type"].as_str().expect("a type").to_owned());
                }
                text = rest.to_owned();
            }
        }
    };
    let in_time = tokio::time::timeout(STUCK, listening).await.is_ok();
    assert!(in_time, "never heard of {last}");
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn order_view_and_stream_tell_the_truth_about_an_unknown_charge() {
    let town = Town::open(Setup::patient().shop(&["--payment-budget", "300ms"])).await;
    let order_id = id("a");
    town.faults(&json!(in_the_dark(&order_id, "commit-then-drop")))
        .await;
    let wanted = order("ok");
    let pending = town.place("a", &wanted).await.expect("an answer");
    assert_eq!(
        (pending.status, &pending.body["status"]),
        (202, &json!("Pending")),
        "{pending:?}"
    );
    assert_eq!(
        town.get(&format!("/orders/{order_id}")).await.body["status"],
        "Pending"
    );
    let shown = town
        .eventually(&format!("/mypages/{order_id}"), |page| {
            page["status"] == "Pending"
        })
        .await;
    assert_eq!(shown["statusText"], "We are waiting for the payment.");
    assert_eq!(
        heard(&town, &order_id, "OrderPending").await,
        ["Ordered", "OrderPending"]
    );
    town.heal().await;
    town.becomes(&order_id, "Shipped").await;
    town.eventually(&format!("/mypages/{order_id}"), |page| {
        page["payment"]["paid"] == 33_000
    })
    .await;
    let heard = heard(&town, &order_id, "OrderShipped").await;
    assert_eq!(
        heard,
        ["Ordered", "OrderPending", "OrderPaid", "OrderShipped"]
    );
    // Whoever asks again hears what was said first.
    let again = town.place("a", &wanted).await.expect("an answer");
    assert_eq!((again.status, &again.text), (202, &pending.text));
    let replies = [pending, again].map(|answer| reply(&order_id, Asked::Place, &answer));
    town.close(replies.to_vec()).await;
}

/// A shop that waits for nobody for long.
fn hasty() -> Setup {
    Setup::patient().shop(&[
        "--payment-budget",
        "300ms",
        "--cancel-budget",
        "300ms",
        "--payment-deadline",
        "1s",
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_turns_up_after_the_order_was_canceled_goes_back_by_itself() {
    let town = Town::open(hasty()).await;
    let order_id = id("a");
    town.faults(&json!([after(
        about(&order_id, "payment", "charge", "delay"),
        12_000
    )]))
    .await;
    assert_eq!(
        town.place("a", &order("ok"))
            .await
            .expect("an answer")
            .status,
        202
    );
    assert_eq!(town.cancel(&order_id).await.expect("an answer").status, 202);
    town.becomes(&order_id, "Canceled").await;
    assert_eq!(
        town.effects(&order_id).await,
        [""; 0],
        "it was canceled before the charge"
    );
    until(
        "a late charge that goes back",
        Duration::from_secs(60),
        async || (town.effects(&order_id).await == ["charge", "refund"]).then_some(()),
    )
    .await;
    town.saga_is(&order_id, "unwound").await;
    let again = town.insist_on_cancel(&order_id).await;
    assert_eq!(again.status, 200, "{again:?}");
    town.close(vec![reply(&order_id, Asked::Cancel, &again)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_charge_goes_back_while_the_message_that_tells_of_the_cancel_cannot_be_sent() {
    let town = Town::open(hasty()).await;
    let order_id = id("a");
    let late = after(about(&order_id, "payment", "charge", "delay"), 12_000);
    let away = about(&order_id, "kakao", "send", "down");
    town.faults(&json!([late, away])).await;
    let pending = town.place("a", &order("ok")).await.expect("an answer");
    assert_eq!(pending.status, 202, "{pending:?}");
    assert_eq!(town.cancel(&order_id).await.expect("an answer").status, 202);
    until(
        "a charge that goes back",
        Duration::from_secs(60),
        async || (town.effects(&order_id).await == ["charge", "refund"]).then_some(()),
    )
    .await;
    town.heal().await;
    town.saga_is(&order_id, "unwound").await;
    town.close(Vec::new()).await;
}
