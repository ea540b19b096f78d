//! A provider that nobody has to wait for is down for the whole run.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{NOBODY_IS_AWAY, count, crowd, judged, of_status};
use crate::checker::{Asked, Evidence, Reply};
use crate::soak::size;
use crate::town::{Customers, Setup, Town, order, reply, until};

/// What a message may take; the default of `--message-budget`.
const BUDGET: TimeDelta = TimeDelta::hours(24);

async fn customer(customers: Customers, nth: usize) -> Vec<Reply> {
    let answer = customers
        .place(&nth.to_string(), &order("ok"))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 201, "{answer:?}");
    vec![reply(&answer.order(), Asked::Place, &answer)]
}

/// A crowd orders while nothing of this provider can be reached; afterwards all of it catches up.
async fn down(port: &str) -> Evidence {
    let setup = Setup::patient().shop(&NOBODY_IS_AWAY);
    let town = Town::open(setup).await;
    town.faults(&json!([{ "port": port, "fault": "down" }]))
        .await;
    let customers = town.customers.clone();
    let replies = crowd(size(1000), move |nth| customer(customers.clone(), nth))
        .concat()
        .await;
    let ledger = town.ledger().await;
    let reached = ledger.iter().filter(|line| line["port"] == port);
    assert_eq!(reached.count(), 0, "it was down for the whole run");
    town.heal().await;
    let orders = size(1000);
    until(
        "every customer told of a parcel",
        super::MENDED,
        async || {
            let ledger = town.ledger().await;
            let told = ledger
                .iter()
                .filter(|line| line["op"] == "send" && line["result"] == "done");
            (told.count() >= orders).then_some(())
        },
    )
    .await;
    judged(&town, replies).await
}

/// Orders whose customer was told once, within the time that a message may take.
fn messages(evidence: &Evidence) -> usize {
    let rows = evidence.messages.iter();
    let told: Vec<_> = rows.filter(|row| row["kind"] == "shipped").collect();
    let sent = |row: &&&Value| {
        let moment = |field: &str| {
            let text = row[field].as_str().unwrap_or_default();
            DateTime::parse_from_rfc3339(text).expect("a moment")
        };
        row["state"] == "sent" && moment("updatedAt") - moment("requestedAt") < BUDGET
    };
    let sent = told.iter().filter(sent);
    let orders: BTreeSet<_> = sent.filter_map(|row| row["orderId"].as_str()).collect();
    assert_eq!(told.len(), evidence.customers.len(), "one message an order");
    orders.len()
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
fn all_caught_up(what: &str, evidence: &Evidence) {
    let orders = size(1000);
    let (charges, ships, sends) = (
        count(evidence, "charge"),
        count(evidence, "ship"),
        count(evidence, "send"),
    );
    let refused = evidence.replies.iter().filter(|reply| reply.status != 201);
    let refused = refused.count();
    let in_time = messages(evidence);
    println!(
        "figure: {what}-down orders={orders} paid={charges} shipped={ships} told={sends} told-in-time={in_time} refused={refused}"
    );
    assert_eq!((charges, ships, sends), (orders, orders, orders));
    assert_eq!(of_status(evidence, "Shipped"), orders);
    assert_eq!((in_time, refused), (orders, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_taken_and_paid_while_the_carrier_is_down_and_ships_once_afterwards() {
    all_caught_up("carrier", &down("carrier").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_taken_paid_and_shipped_while_kakao_is_down_and_told_once_afterwards() {
    all_caught_up("kakao", &down("kakao").await);
}
