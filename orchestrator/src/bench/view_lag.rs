//! How long events are in the log before views show them, seen from outside.

use std::time::{Duration, Instant};

use anyhow::Context;
use eventstore::{EventStore, Position};
use projections::{Projections, View};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::figures::Latencies;

/// Fine enough for a lag of tens of milliseconds, seldom enough to be no load of its own.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks at the log and at views until stopped.
pub(super) struct LagWatch {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Vec<Look>>>,
}

/// Where the log was at a moment, and where the views were.
struct Look {
    at: Instant,
    head: Position,
    views: [Position; 2],
}

/// The views whose lag is measured; the saga view is a part of taking orders.
pub(super) const WATCHED: [View; 2] = [View::Customer, View::Message];

impl LagWatch {
    pub(super) fn start(store: EventStore, views: Projections) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch(store, views, stop.clone()));
        Self { stop, task }
    }

    /// The lag of every event that came meanwhile, of each view. Ends when the views have shown them all.
    pub(super) async fn stop(self) -> anyhow::Result<[Latencies; 2]> {
        self.stop.cancel();
        let looks = self.task.await.context("the watch panicked")??;
        Ok([0, 1].map(|view| lags(&looks, view)))
    }
}

async fn watch(
    store: EventStore,
    views: Projections,
    stop: CancellationToken,
) -> anyhow::Result<Vec<Look>> {
    let mut looks: Vec<Look> = Vec::new();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ended = stop.is_cancelled();
        // The views first: an event that comes in between has not been shown yet.
        let [customer, message] = WATCHED.map(|view| views.position(view));
        let (customer, message) = tokio::try_join!(customer, message)?;
        let head = store.head().await?;
        looks.push(Look {
            at: Instant::now(),
            head,
            views: [customer, message],
        });
        if ended && customer.min(message) >= head {
            return Ok(looks);
        }
    }
}

/// From the look that first saw an event in the log to the one that first saw it in the view.
fn lags(looks: &[Look], view: usize) -> Latencies {
    let mut lags = Latencies::default();
    let mut shown = looks.iter().peekable();
    for pair in looks.windows(2) {
        let [before, now] = pair else { continue };
        for position in before.head.0 + 1..=now.head.0 {
            while shown
                .next_if(|look| look.views[view].0 < position)
                .is_some()
            {}
            if let Some(look) = shown.peek() {
                lags.record(look.at.saturating_duration_since(now.at));
            }
        }
    }
    lags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_counts_from_when_it_was_in_the_log_to_when_the_view_had_it() {
        let began = Instant::now();
        let look = |ms, head, view| Look {
            at: began + Duration::from_millis(ms),
            head: Position(head),
            views: [Position(view), Position(0)],
        };
        // What was there at the first look came before it.
        let looks = [
            look(0, 5, 5),
            look(10, 7, 5),
            look(20, 8, 6),
            look(30, 8, 8),
            look(40, 9, 9),
        ];
        let lags = lags(&looks, 0).percentiles();
        // Positions 6 to 9: 10, 20, 10 and 0 ms.
        assert_eq!((lags.p50, lags.max), (10.0, 20.0));
    }
}
