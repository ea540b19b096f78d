//! A payment provider that charges, never answers, and says nothing to questions either: whether money moved is unknown.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;

use super::{count, crowd, judged};
use crate::checker::{Asked, Evidence, Reply};
use crate::soak::{self, size};
use crate::town::{Customers, Setup, Town, order, reply, until};

/// How long nobody gets an answer out of it.
const SILENT: Duration = Duration::from_secs(60);

/// Everything has to be known this long after it answers again.
const RESOLVED: Duration = Duration::from_secs(60);

/// Charges that the ledger must hold before it answers again.
const CHARGES: usize = 500;

/// What a customer heard.
#[derive(Default)]
struct Heard {
    replies: Vec<Reply>,
    /// How often an order was refused before anything was stored.
    refused: usize,
}

/// Orders again and again until told to go home.
async fn customer(customers: Customers, nth: usize, until: Instant) -> Heard {
    let mut heard = Heard::default();
    let mut round = 0;
    while Instant::now() < until {
        round += 1;
        let key = format!("{nth}-{round}");
        match customers.place(&key, &order("ok")).await {
            Some(answer) if matches!(answer.status, 201 | 202) => {
                heard
                    .replies
                    .push(reply(&answer.order(), Asked::Place, &answer));
            }
            // Refused before anything was stored; the customer waits a moment and orders something else.
            Some(answer) if answer.status == 503 => {
                heard.refused += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    heard
}

/// What came of it all.
struct Outcome {
    evidence: Evidence,
    refused: usize,
    resolved: Duration,
}

impl Outcome {
    /// Orders that were taken although nobody could say whether they were paid.
    fn unknown(&self) -> usize {
        let replies = self.evidence.replies.iter();
        replies.filter(|reply| reply.status == 202).count()
    }
}

async fn silence(breaker: &str, wanted: usize) -> Outcome {
    let setup = Setup::default()
        .shop(&[
            "--payment-budget",
            "1s",
            "--provider-timeout",
            "1s",
            "--breaker",
            breaker,
        ])
        .world(&[
            "--simulated-handover-after",
            "1h",
            "--simulated-delivery-after",
            "1h",
        ]);
    let town = Town::open(setup).await;
    // Were questions answered, a look right after the charge would find it, and nothing would be unknown.
    town.faults(&json!([
        { "port": "payment", "op": "charge", "fault": "commit-then-drop", "rate": 1.0 },
        { "port": "payment", "op": "query", "fault": "drop-before-commit", "rate": 1.0 },
    ]))
    .await;
    let length = soak::length(SILENT);
    let (customers, until_then) = (town.customers.clone(), Instant::now() + length);
    let crowd = crowd(super::AT_ONCE, move |nth| {
        customer(customers.clone(), nth, until_then)
    });
    let heard: Vec<Heard> = crowd.collect().await;
    let refused = heard.iter().map(|heard| heard.refused).sum();
    let replies = heard.into_iter().flat_map(|heard| heard.replies).collect();
    let charges = town
        .ledger()
        .await
        .iter()
        .filter(|line| line["op"] == "charge" && line["result"] == "done")
        .count();
    assert!(charges >= wanted, "only {charges} charges");
    town.heal().await;
    let healed = Instant::now();
    until("no order whose payment is open", RESOLVED, async || {
        let page = town.get("/orders?status=Pending&size=1").await.body;
        page["_embedded"]["orders"]
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(())
    })
    .await;
    let resolved = healed.elapsed();
    Outcome {
        evidence: judged(&town, replies).await,
        refused,
        resolved,
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
fn none_doubled(breaker: &str, outcome: &Outcome) {
    let evidence = &outcome.evidence;
    let (charges, orders) = (count(evidence, "charge"), evidence.customers.len());
    println!(
        "figure: timeout-but-charged breaker={breaker} orders={orders} unknown={} refused={} charges={charges} double={} resolved-after={:.1}s",
        outcome.unknown(),
        outcome.refused,
        charges.saturating_sub(orders),
        outcome.resolved.as_secs_f64()
    );
    assert!(outcome.unknown() > 0, "nothing was ever unknown");
    assert_eq!(charges, orders, "every order is charged once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_charges_and_never_answers_charges_nobody_twice() {
    let outcome = silence("off", size(CHARGES)).await;
    none_doubled("off", &outcome);
    let unknown = outcome.evidence.replies.len();
    assert_eq!(
        (outcome.unknown(), outcome.refused),
        (unknown, 0),
        "every order is taken"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_a_breaker_refuses_most_and_charges_nobody_twice() {
    let outcome = silence("on", 1).await;
    none_doubled("on", &outcome);
    let taken = outcome.evidence.replies.len();
    assert!(
        outcome.refused > taken,
        "{} refused, {taken} taken",
        outcome.refused
    );
}
