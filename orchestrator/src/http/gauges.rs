//! Measurements that are taken when somebody scrapes, not when something happens.

use eventstore::EventStore;
use projections::{LagReason, ProjectionState, Projections};
use tokio::time::timeout;

use super::operation::STORE_ANSWERS_WITHIN;
use crate::fulfilment::Fulfilment;
use crate::providers::guard::Position;

/// The parts that are measured.
#[derive(Clone)]
pub struct Gauges {
    store: EventStore,
    projections: Projections,
    fulfilment: Fulfilment,
}

impl Gauges {
    /// Measures these parts.
    #[must_use]
    pub fn new(store: EventStore, projections: Projections, fulfilment: Fulfilment) -> Gauges {
        Gauges {
            store,
            projections,
            fulfilment,
        }
    }

    /// Takes the measurements. What cannot be measured keeps its last value; readiness tells why.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; positions stay far below 2^53"
    )]
    pub async fn refresh(&self) {
        self.refresh_store();
        self.refresh_providers();
        metrics::gauge!("bookmarket_sagas_in_hand").set(self.fulfilment.engine().live() as f64);
        // Whoever scrapes gives up on an answer that does not come, and would have none of the other measurements either.
        let (head, lags) = tokio::join!(
            timeout(STORE_ANSWERS_WITHIN, self.store.head()),
            timeout(STORE_ANSWERS_WITHIN, self.projections.lags()),
        );
        if let Ok(Ok(head)) = head {
            metrics::gauge!("bookmarket_log_position").set(head.0 as f64);
        }
        let Ok(Ok(views)) = lags else {
            return;
        };
        for view in views {
            for reason in LagReason::ALL {
                let holds = f64::from(u8::from(view.lag_reason == Some(reason)));
                metrics::gauge!("bookmarket_projection_lag_reason", "view" => view.name, "reason" => reason.as_str())
                    .set(holds);
            }
            let active = f64::from(u8::from(view.state == ProjectionState::Running));
            metrics::gauge!("bookmarket_projection_active", "view" => view.name).set(active);
            metrics::counter!("bookmarket_projection_restarts_total", "view" => view.name)
                .absolute(view.restarts);
            metrics::counter!("bookmarket_projection_overtaken_total", "view" => view.name)
                .absolute(view.overtaken);
            metrics::gauge!("bookmarket_projection_lag_positions", "view" => view.name)
                .set(view.lag as f64);
            metrics::gauge!("bookmarket_projection_lag_seconds", "view" => view.name)
                .set(view.lag_seconds);
            metrics::gauge!("bookmarket_projection_parked_keys", "view" => view.name)
                .set(view.parked_keys as f64);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge of at most thousands")]
    fn refresh_providers(&self) {
        for (provider, reading) in self.fulfilment.guards().readings() {
            let open = match reading.position {
                Position::Closed => 0.0,
                Position::HalfOpen => 0.5,
                Position::Open => 1.0,
            };
            metrics::gauge!("bookmarket_provider_breaker_open", "provider" => provider).set(open);
            metrics::gauge!("bookmarket_provider_calls_in_flight", "provider" => provider)
                .set(reading.in_flight as f64);
            metrics::gauge!("bookmarket_provider_calls_in_flight_max", "provider" => provider)
                .set(reading.concurrency as f64);
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
