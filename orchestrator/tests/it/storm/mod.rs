//! Storms: many customers at once while everything goes wrong, with fixed seeds. A tenth of the size by default, all of it
//! with `SOAK`, and one line of figures each. Whatever happened is judged by the outside checker.

mod canary;
mod chaos;
mod figures;
mod handover;
mod outage;
mod timeouts;
mod weather;

use std::time::Duration;

use futures_util::{Stream, StreamExt};

use crate::checker::{self, Evidence};
use crate::town::Town;

/// Customers at once.
const AT_ONCE: usize = 64;

/// How long all that was broken may take to mend: pauses between attempts grow while it goes wrong.
pub(crate) const MENDED: Duration = Duration::from_secs(240);

/// Given to a shop whose providers do not count as away, however slow the machine is.
const NOBODY_IS_AWAY: [&str; 6] = [
    "--payment-budget",
    "20s",
    "--provider-timeout",
    "10s",
    "--breaker-slow-call",
    "10s",
];

/// The order that a customer's key stands for, before it is there.
fn id(key: &str) -> String {
    aggregates::ids::order_id("open", "33", key).to_string()
}

/// A dice of its own for the nth of a crowd.
pub(crate) fn dice(seed: u64, nth: usize) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed ^ (nth as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Lets a crowd come, [`AT_ONCE`] at a time.
pub(crate) fn crowd<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    size: usize,
    come: impl Fn(usize) -> F,
) -> impl Stream<Item = T> {
    let coming = futures_util::stream::iter(0..size).map(move |nth| tokio::spawn(come(nth)));
    coming
        .buffer_unordered(AT_ONCE)
        .map(|went| went.expect("nobody fell over"))
}

/// Waits for the end of everything, and what the checker says about it.
pub(crate) async fn judged(town: &Town, replies: Vec<checker::Reply>) -> Evidence {
    town.quiesces(MENDED).await;
    let evidence = town.evidence(replies).await;
    let found = checker::check(&evidence);
    assert!(found.is_empty(), "{}", checker::tell(&found));
    evidence
}

/// The same, where somebody was killed or frozen: a message that was under way then may have gone twice, since its dealer knows no keys.
/// That is counted by the caller and no finding.
pub(crate) async fn judged_but_for_repeats(town: &Town, replies: Vec<checker::Reply>) -> Evidence {
    town.quiesces(MENDED).await;
    let evidence = town.evidence(replies).await;
    let found = checker::check(&evidence);
    let found: Vec<_> = found
        .into_iter()
        .filter(|finding| finding.rule != checker::Rule::MessageTwice)
        .collect();
    assert!(found.is_empty(), "{}", checker::tell(&found));
    evidence
}

/// How many effects of this kind the providers had.
fn count(evidence: &Evidence, op: &str) -> usize {
    let lines = evidence.ledger.iter().filter(|line| line["op"] == op);
    lines.filter(|line| line["result"] == "done").count()
}

/// How many orders have such a status in the customer view.
fn of_status(evidence: &Evidence, status: &str) -> usize {
    evidence
        .customers
        .iter()
        .filter(|row| row["status"] == status)
        .count()
}

/// How many sagas wait for a person.
fn parked(evidence: &Evidence) -> usize {
    evidence
        .sagas
        .iter()
        .filter(|row| row["status"] == "parked")
        .count()
}
