//! How far this machine's clock is from that of the log's database.
//!
//! Events and leases are stamped by the database's clock, deadlines of steps by this machine's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::{EventStore, ReadError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Two machines that are each this close to the database differ by no more than
/// [`CLOCK_ALLOWANCE`](crate::saga::step::CLOCK_ALLOWANCE). Beyond it one may take a step for abandoned whose owner may still
/// send, and a message may go twice; what goes under a key still has its effect once.
const TOLERANCE: Duration = Duration::from_millis(500);

/// Between two looks. A clock that is kept by NTP drifts by less than a millisecond meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A store that takes longer is away, and is told of elsewhere.
const PATIENCE: Duration = Duration::from_secs(5);

/// By how much the database's clock must differ from this machine's, in seconds; positive when it is ahead.
///
/// It was asked between the two moments: what may be the way of question and answer is no difference.
#[must_use]
pub(crate) fn ahead(database: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> f64 {
    let ahead = (database - after).to_std().unwrap_or_default();
    let behind = (before - database).to_std().unwrap_or_default();
    ahead.as_secs_f64() - behind.as_secs_f64()
}

/// Whether clocks that differ by so many seconds, in either direction, may mislead us.
#[must_use]
pub(crate) fn is_too_much(ahead: f64) -> bool {
    ahead.abs() > TOLERANCE.as_secs_f64()
}

/// Compares the clocks now and then, and says so once when they come apart and once when they agree again.
pub(crate) async fn watch(store: EventStore, stop: CancellationToken) {
    let mut told = false;
    loop {
        if let Ok(Ok(ahead)) = timeout(PATIENCE, look(&store)).await {
            metrics::gauge!("bookmarket_database_clock_ahead_seconds").set(ahead);
            match (is_too_much(ahead), told) {
                (true, false) => tracing::warn!(
                    ahead_seconds = ahead,
                    "the clocks of the database and of this machine differ: messages may go twice; keep both by NTP"
                ),
                (false, true) => {
                    tracing::info!("the clocks of the database and of this machine agree again");
                }
                _ => {}
            }
            told = is_too_much(ahead);
        }
        if timeout(LOOK_EVERY, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn look(store: &EventStore) -> Result<f64, ReadError> {
    let before = Utc::now();
    let database = store.about().await?.now;
    Ok(ahead(database, before, Utc::now()))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::saga::step::CLOCK_ALLOWANCE;

    #[test]
    fn two_machines_within_the_tolerance_are_within_the_allowance_of_each_other() {
        assert!(2 * TOLERANCE <= CLOCK_ALLOWANCE);
    }

    #[test]
    fn clocks_are_compared_both_ways_and_a_slow_answer_is_no_difference() {
        let before = Utc::now();
        let after = before + TimeDelta::seconds(9);
        for (asked_ms, wanted) in [
            (-7000, -7.0),
            (-400, -0.4),
            (5000, 0.0),
            (9400, 0.4),
            (15_000, 6.0),
        ] {
            let found = ahead(before + TimeDelta::milliseconds(asked_ms), before, after);
            assert!((found - wanted).abs() < 1e-9, "{asked_ms} ms: {found}");
            assert_eq!(is_too_much(found), wanted.abs() > 0.5, "{asked_ms} ms");
        }
    }
}
