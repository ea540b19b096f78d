//! Messages beside the orders.

use serde_json::json;

use super::rule;
use crate::town::{Setup, Town, is_done, is_step};

#[tokio::test(flavor = "multi_thread")]
async fn orders_flow_while_the_dealer_is_away_and_stale_messages_are_never_sent() {
    let town = Town::open(Setup::patient().shop(&["--message-budget", "10s"])).await;
    town.faults(&json!([rule("kakao", "send", "down")])).await;
    let stale = town.paid("stale").await;
    let page = |order: &str| format!("/mypages/{order}");
    town.eventually(&page(&stale), |page| {
        page["messages"][0]["state"] == "failed"
    })
    .await;
    // One more is asked for while the dealer is away, and is not stale yet when it is back.
    let fresh = town.paid("fresh").await;
    town.eventually(&format!("/sagas/{fresh}"), |saga| {
        is_step(saga, "notify", "backoff")
    })
    .await;
    town.heal().await;
    town.eventually(&page(&fresh), |page| page["messages"][0]["state"] == "sent")
        .await;
    let late = town.paid("late").await;
    town.eventually(&format!("/sagas/{late}"), |saga| is_done(saga, "notify"))
        .await;
    let ledger = town.ledger().await;
    for (order, times) in [(&stale, 0), (&fresh, 1), (&late, 1)] {
        let sends = ledger.iter().filter(|line| line["op"] == "send");
        let own = sends.filter(|line| line["orderId"] == order.as_str());
        assert_eq!(own.count(), times, "{order}");
    }
    for order in [&stale, &fresh, &late] {
        assert_eq!(town.effects(order).await, ["charge", "ship"]);
    }
    town.close(Vec::new()).await;
}
