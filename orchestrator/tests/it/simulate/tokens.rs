//! What the words of payment tokens do.

use std::time::Duration;

use orchestrator::providers::ports::{Answer, Found, PaymentPort};
use orchestrator::providers::simulator::ledger::Verdict;
use orchestrator::providers::simulator::{Options, Simulator};
use uuid::Uuid;

use super::{ProbeKey, charge, code, done, lines, open, options};

#[tokio::test]
async fn token_decline_is_refused_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    assert_eq!(
        code(simulator.charge(charge(order, "decline")).await),
        "card-declined"
    );
    assert_eq!(
        code(simulator.charge(charge(order, "tok_good")).await),
        "card-declined"
    );
    assert!(matches!(
        simulator.probe_key(order).await,
        Found::Refused(_)
    ));
}

#[tokio::test]
async fn token_timeout_charged_takes_the_money_and_loses_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    let token = "timeout-charged";
    assert!(matches!(
        simulator.charge(charge(order, token)).await,
        Answer::Unknown(_)
    ));
    assert!(matches!(simulator.probe_key(order).await, Found::Done(_)));
    done(simulator.charge(charge(order, token)).await);
    assert_eq!(
        lines(&dir)
            .iter()
            .filter(|line| line.result == Verdict::Done)
            .count(),
        1
    );
}

#[tokio::test]
async fn token_timeout_uncharged_leaves_no_trace_at_the_first_call_and_works_at_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    let token = "timeout-uncharged";
    assert!(matches!(
        simulator.charge(charge(order, token)).await,
        Answer::Unknown(_)
    ));
    assert_eq!(simulator.probe_key(order).await, Found::Nothing);
    assert_eq!(lines(&dir), []);
    done(simulator.charge(charge(order, token)).await);
}

#[tokio::test]
async fn token_slow_charges_even_when_nobody_waits_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    assert!(matches!(
        simulator.charge(charge(order, "slow-90")).await,
        Answer::Unknown(_)
    ));
    assert_eq!(simulator.probe_key(order).await, Found::Nothing);
    while simulator.probe_key(order).await == Found::Nothing {
        tokio::task::yield_now().await;
    }
    assert!(matches!(simulator.probe_key(order).await, Found::Done(_)));
}

#[tokio::test]
async fn token_slow_is_answered_when_the_adapter_waits_long_enough() {
    let dir = tempfile::tempdir().unwrap();
    let patient = Options {
        time_limit: Duration::from_mins(1),
        ..options(&dir)
    };
    let simulator = Simulator::open(&patient).unwrap().0;
    done(simulator.charge(charge(Uuid::now_v7(), "slow-1")).await);
}

#[tokio::test]
async fn token_down_is_never_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    for _ in 0..2 {
        assert!(matches!(
            simulator.charge(charge(order, "down")).await,
            Answer::NotSent(_)
        ));
    }
    assert_eq!(lines(&dir), []);
}

#[tokio::test]
async fn token_amount_charges_only_what_the_customer_has_authenticated() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order, cheap) = (open(&dir), Uuid::now_v7(), Uuid::now_v7());
    let asked = charge(order, "any").amount.amount;
    done(
        simulator
            .charge(charge(order, &format!("amount-{asked}:1")))
            .await,
    );
    assert_eq!(
        code(simulator.charge(charge(cheap, "amount-1:2")).await),
        "another-amount-authenticated"
    );
    assert_eq!(lines(&dir).len(), 2);
}

#[tokio::test]
async fn token_authenticated_charges_for_ten_minutes_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, fresh, stale) = (open(&dir), Uuid::now_v7(), Uuid::now_v7());
    let ago = |seconds| {
        format!(
            "authenticated-{}:a",
            chrono::Utc::now().timestamp() - seconds
        )
    };
    done(simulator.charge(charge(fresh, &ago(540))).await);
    assert_eq!(
        code(simulator.charge(charge(stale, &ago(660))).await),
        "payment-window-closed"
    );
}
