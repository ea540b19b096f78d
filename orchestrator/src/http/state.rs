//! What the handlers share.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{Category, EventStore, StreamId, Version};
use metrics_exporter_prometheus::PrometheusHandle;
use projections::Projections;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::auth::{Callers, Principal};
use super::gauges::Gauges;
use super::health::Health;
use super::orders::Defaults;
use super::outcome::read_failed;
use super::problem::Problem;
use super::rebuilds::Rebuilds;
use crate::fulfilment::Fulfilment;

/// Category of the streams of orders.
const ORDER: Category = Category::from_static("order");

/// The parts that answer requests; cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Parts>);

/// The parts themselves.
pub struct Parts {
    /// The log.
    pub store: EventStore,
    /// The views of it.
    pub projections: Projections,
    /// The commands.
    pub fulfilment: Fulfilment,
    /// Who may call.
    pub callers: Arc<Callers>,
    /// How the process is.
    pub health: Arc<Health>,
    /// Everything measured so far.
    pub metrics: PrometheusHandle,
    /// Measurements that are taken when somebody looks.
    pub gauges: Gauges,
    /// Rebuilds under way.
    pub rebuilds: Rebuilds,
    /// Prices of orders that name none.
    pub defaults: Defaults,
    /// How long a request to cancel waits for its answer.
    pub cancel_budget: Duration,
    /// Places for commands.
    pub places: Arc<Semaphore>,
    /// Places for subscribers of the event stream.
    pub subscribers: Arc<Semaphore>,
    /// Work that a hang-up must not cut.
    pub tasks: TaskTracker,
    /// Ends streams and rebuilds when the server stops.
    pub stop: CancellationToken,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
}

impl Edge {
    /// Shares the parts.
    #[must_use]
    pub fn new(parts: Parts) -> Edge {
        Edge(Arc::new(parts))
    }
}

impl Edge {
    /// Whose order it is; an order that the caller may not see is reported like one that does not exist.
    pub async fn require_order(&self, principal: &Principal, order: Uuid) -> Result<(), Problem> {
        let stream = StreamId::new(ORDER, order);
        let first = self
            .store
            .read_stream(&stream, Version::ZERO, 1)
            .await
            .map_err(|error| read_failed(&error))?;
        let owner = first
            .first()
            .and_then(|event| serde_json::from_str::<Owner<'_>>(event.data.get()).ok());
        match owner {
            Some(owner) if principal.may_see(&owner.customer_id) => Ok(()),
            _ => Err(Problem::not_found("order")),
        }
    }
}

/// The one field of an event that decides who may see it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner<'a> {
    #[serde(borrow)]
    customer_id: Cow<'a, str>,
}

impl Deref for Edge {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
