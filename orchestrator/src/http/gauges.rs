//! Measurements that are taken when somebody scrapes, not when something happens.

use eventstore::EventStore;
use projections::Projections;

use crate::saga::engine::Engine;

/// The parts that are measured.
#[derive(Clone)]
pub struct Gauges {
    store: EventStore,
    projections: Projections,
    engine: Engine,
}

impl Gauges {
    /// Measures these parts.
    #[must_use]
    pub fn new(store: EventStore, projections: Projections, engine: Engine) -> Gauges {
        Gauges {
            store,
            projections,
            engine,
        }
    }

    /// Takes the measurements. What cannot be measured keeps its last value; readiness tells why.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; positions stay far below 2^53"
    )]
    pub async fn refresh(&self) {
        self.refresh_store();
        metrics::gauge!("bookmarket_sagas_in_hand").set(self.engine.live() as f64);
        if let Ok(head) = self.store.head().await {
            metrics::gauge!("bookmarket_log_position").set(head.0 as f64);
        }
        let Ok(views) = self.projections.status().await else {
            return;
        };
        for view in views {
            metrics::gauge!("bookmarket_projection_lag_positions", "view" => view.name)
                .set(view.lag as f64);
            metrics::gauge!("bookmarket_projection_lag_seconds", "view" => view.name)
                .set(view.lag_seconds);
            metrics::gauge!("bookmarket_projection_parked_keys", "view" => view.name)
                .set(view.parked_keys as f64);
        }
    }

    fn refresh_store(&self) {
        let stats = self.store.stats();
        let counts = [
            ("bookmarket_log_events_total", stats.events),
            ("bookmarket_log_appends_total", stats.appends),
            ("bookmarket_log_commits_total", stats.commits),
            ("bookmarket_log_conflicts_total", stats.conflicts),
            ("bookmarket_log_settled_total", stats.settled),
            ("bookmarket_log_reconnects_total", stats.reconnects),
            ("bookmarket_log_full_total", stats.full),
        ];
        for (name, count) in counts {
            metrics::counter!(name).absolute(count);
        }
        metrics::gauge!("bookmarket_log_reachable").set(f64::from(u8::from(stats.reachable)));
    }
}
