//! What the handlers share.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{
    Category, Checkpoint, EventStore, Position, ReadError, RecordedEvent, StreamId, Version,
    WriterState,
};
use metrics_exporter_prometheus::PrometheusHandle;
use projections::Projections;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::auth::{Callers, Principal};
use super::gauges::Gauges;
use super::health::{Health, MAX_SILENCE};
use super::orders::Defaults;
use super::outcome::read_failed;
use super::problem::Problem;
use super::rebuilds::Rebuilds;
use super::views::Seats;
use super::webhooks::Doors;
use crate::bus::connection::Broker;
use crate::bus::jetstream::Standing;
use crate::bus::relay::status::RelayStatus;
use crate::fulfilment::Fulfilment;
use crate::fulfilment::reconcile::Reconciler;

/// Category of the streams of orders.
const ORDER: Category = Category::from_static("order");

/// What everything that is stored goes through.
const LOG_WRITER: &str = "the log's writer";

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
    /// Compares the providers' books with the log.
    pub reconciler: Reconciler,
    /// Which providers may tell us things.
    pub doors: Doors,
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
    /// Whether a payment token is for the id of one order, so that its customer has to know the id beforehand.
    pub tokens_name_orders: bool,
    /// How long a request to cancel waits for its answer.
    pub cancel_budget: Duration,
    /// The broker between processes, if there is one.
    pub broker: Option<Broker>,
    /// What the relay of this process does, if there is one.
    pub relay: Option<RelayStatus>,
    /// How the queue of wake-ups does, if the broker keeps it.
    pub wakeups: Option<Standing>,
    /// Places for commands.
    pub places: Arc<Semaphore>,
    /// Places for subscribers of the event stream.
    pub subscribers: Arc<Semaphore>,
    /// Places for those who follow a customer's orders; their own, so that customers take none from operators.
    pub followers: Seats,
    /// Places for exports of whole lists.
    pub exports: Arc<Semaphore>,
    /// The place for an intervention in many sagas.
    pub bulk: Arc<Semaphore>,
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

impl Edge {
    /// Where the log ends now.
    pub async fn newest(&self) -> Result<Checkpoint, ReadError> {
        let head = self.store.head().await?;
        Ok(self.checkpoint(head).await?.unwrap_or(Checkpoint::START))
    }

    /// The checkpoint of a position, if the log has come to it.
    pub async fn checkpoint(&self, position: Position) -> Result<Option<Checkpoint>, ReadError> {
        if position == Position::ZERO {
            return Ok(Some(Checkpoint::START));
        }
        let before = Position(position.0 - 1);
        let page = self.store.read_all(before, 1, None).await?;
        Ok(page.events.first().map(RecordedEvent::checkpoint))
    }
}

impl Edge {
    /// What of this process has ended although it should run, by name. None of it comes back by itself.
    #[must_use]
    pub fn ended(&self) -> Vec<String> {
        let mut ended = self.fulfilment.engine().ended();
        if self.store.writer_state() == WriterState::Ended {
            ended.push(LOG_WRITER);
        }
        if self.projections.has_ended() {
            ended.push("the views' writer");
        }
        ended.into_iter().map(str::to_owned).collect()
    }

    /// What of this process has ended or is stuck, by name.
    #[must_use]
    pub fn faulty(&self) -> Vec<String> {
        let mut faulty = self.ended();
        faulty.extend(self.health.stuck());
        if matches!(self.store.writer_state(), WriterState::Busy(time) if time > MAX_SILENCE) {
            faulty.push(LOG_WRITER.to_owned());
        }
        faulty
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
