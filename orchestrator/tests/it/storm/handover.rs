//! Cancel against hand-over, at every distance from each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use super::{NOBODY_IS_AWAY, crowd, dice, judged};
use crate::checker::{Asked, Reply};
use crate::soak::{self, size};
use crate::town::{Customers, Setup, Town, order, reply, until};

const SEED: u64 = 4;

/// When the van comes, after the carrier accepted the parcel.
const VAN: Duration = Duration::from_secs(2);

async fn customer(customers: Customers, nth: usize) -> Vec<Reply> {
    let key = nth.to_string();
    let first = customers.insist(&key, &order("ok")).await;
    let order = first.order();
    tokio::time::sleep(VAN * dice(SEED, nth).u32(0..150) / 100).await;
    let mut replies = vec![reply(&order, Asked::Place, &first)];
    for _ in 0..2 {
        replies.push(reply(
            &order,
            Asked::Cancel,
            &customers.insist_on_cancel(&order).await,
        ));
    }
    replies
}

fn setup() -> Setup {
    let van = format!("{}ms", VAN.as_millis());
    let setup = Setup::default().world(&[
        "--simulated-handover-after",
        &van,
        "--simulated-delivery-after",
        "1h",
    ]);
    if soak::is_on() {
        return setup;
    }
    // Parcels that are kept waiting for a provider are canceled before there is a van.
    setup.shop(&NOBODY_IS_AWAY)
}

/// Which orders had such an effect.
fn with<'a>(ledger: &'a [Value], op: &str) -> BTreeMap<&'a str, ()> {
    let lines = ledger
        .iter()
        .filter(|line| line["op"] == op && line["result"] == "done");
    lines
        .filter_map(|line| Some((line["orderId"].as_str()?, ())))
        .collect()
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn cancel_and_van_at_random_distance_never_both_win_and_never_both_lose() {
    let town = Town::open(setup()).await;
    let orders = size(2000);
    let customers = town.customers.clone();
    let replies = crowd(orders, move |nth| customer(customers.clone(), nth))
        .concat()
        .await;
    // Where the cancel was faster than the shipment there is no parcel to be called off.
    until(
        "every parcel gone or its money back",
        super::MENDED,
        async || {
            let ledger = town.ledger().await;
            let (left, back) = (with(&ledger, "handover"), with(&ledger, "refund"));
            let stayed = back.keys().filter(|order| !left.contains_key(*order));
            (left.len() + stayed.count() >= orders).then_some(())
        },
    )
    .await;
    let evidence = judged(&town, replies).await;
    let (left, refunded) = (
        with(&evidence.ledger, "handover"),
        with(&evidence.ledger, "refund"),
    );
    let both = left
        .keys()
        .filter(|order| refunded.contains_key(*order))
        .count();
    let neither = orders + both - left.len() - refunded.len();
    let told = |status: u16| {
        evidence
            .replies
            .iter()
            .filter(|it| it.asked == Asked::Cancel && it.status == status)
            .count()
    };
    // Whoever was told that the parcel is gone and that the order is canceled.
    let heard = |status: u16| -> BTreeSet<&str> {
        let own = evidence.replies.iter();
        let own = own.filter(|it| it.asked == Asked::Cancel && it.status == status);
        own.map(|it| it.order.as_str()).collect()
    };
    let contradicting = heard(200).intersection(&heard(409)).count();
    println!(
        "figure: cancel-against-handover orders={orders} canceled={} left={} both={both} neither={neither} replies-200={} \
         replies-409={} contradicting={contradicting}",
        refunded.len(),
        left.len(),
        told(200),
        told(409),
    );
    assert_eq!((both, neither, contradicting), (0, 0, 0));
    assert_eq!((told(200), told(409)), (2 * refunded.len(), 2 * left.len()));
    assert!(
        refunded.len() * 10 > orders && left.len() * 10 > orders,
        "the race was never close"
    );
}
