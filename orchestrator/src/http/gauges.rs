//! Measurements that are taken when somebody scrapes, not when something happens.

use eventstore::EventStore;
use projections::Projections;

/// The parts that are measured.
#[derive(Clone)]
pub struct Gauges {
    store: EventStore,
    projections: Projections,
}

impl Gauges {
    /// Measures these parts.
    #[must_use]
    pub fn new(store: EventStore, projections: Projections) -> Gauges {
        Gauges { store, projections }
    }

    /// Takes the measurements. What cannot be measured keeps its last value; readiness tells why.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; positions stay far below 2^53"
    )]
    pub async fn refresh(&self) {
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
}
