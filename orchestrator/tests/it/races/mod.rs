//! The races of the domain, one test each: shop and providers are processes of their own that talk HTTP with each other, and
//! every test ends with the outside checker.

mod cancels;
mod cancels_late;
mod messages;
mod outside;
mod parcel;
mod payment;
mod processes;
mod refunds;
mod unknown;
mod webhooks;

use aggregates::ids;
use serde_json::{Value, json};

use crate::town::Town;

/// The order that a key of the customers in these tests stands for, before it is there.
fn id(key: &str) -> String {
    ids::order_id("open", "33", key).to_string()
}

/// One thing that goes wrong every time.
fn rule(port: &str, op: &str, fault: &str) -> Value {
    json!({ "port": port, "op": op, "fault": fault, "rate": 1.0 })
}

/// One thing that goes wrong in every call about one order.
fn about(order: &str, port: &str, op: &str, fault: &str) -> Value {
    let mut rule = rule(port, op, fault);
    rule["orderId"] = json!(order);
    rule
}

/// The same after a while.
fn after(mut rule: Value, millis: u64) -> Value {
    rule["delayMs"] = json!(millis);
    rule
}

/// The same with a code.
fn code(mut rule: Value, code: &str) -> Value {
    rule["code"] = json!(code);
    rule
}

/// Somebody gives money back in the payment provider's dashboard: this much of a payment, or all of it.
async fn refund_by_hand(town: &Town, payment_key: &str, amount: Option<i64>) {
    let dashboard = format!("{}/toss/v1/payments/{payment_key}/cancel", town.world.url);
    let by_hand = town.http.post(dashboard);
    let by_hand = by_hand.basic_auth("test_sk_dashboard", Some(""));
    let wish = json!({ "cancelReason": "by hand", "cancelAmount": amount });
    let answer = by_hand.json(&wish).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
}

/// A charge whose fate nobody can learn: it goes wrong like this, and nobody answers questions about it.
fn in_the_dark(order: &str, fault: &str) -> [Value; 2] {
    [
        about(order, "payment", "charge", fault),
        about(order, "payment", "query", "drop-before-commit"),
    ]
}
