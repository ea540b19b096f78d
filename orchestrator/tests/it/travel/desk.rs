//! A log, an agency, and an engine that books trips.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{EventStore, Location, Options as StoreOptions, PAGE_MAX, Position};
use orchestrator::saga::definition::Saga;
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::index::LogIndex;
use orchestrator::saga::sweeper::{Pace, Sweeper};
use orchestrator::saga::verbs::Request;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::agency::Agency;
use super::trip::Trip;
use crate::town::{STUCK, until};

pub(super) struct Desk {
    pub(super) store: EventStore,
    pub(super) agency: Arc<Agency>,
    pub(super) engine: Engine,
    _dir: tempfile::TempDir,
}

impl Desk {
    pub(super) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::sqlite(dir.path());
        EventStore::migrate(&location).await.unwrap();
        let options = StoreOptions::default();
        let store = EventStore::open(&location, options).await.unwrap();
        let agency = Arc::new(Agency::default());
        let engine = Self::engine(&store, &agency);
        Self {
            store,
            agency,
            engine,
            _dir: dir,
        }
    }

    pub(super) fn engine(store: &EventStore, agency: &Arc<Agency>) -> Engine {
        let trip: Arc<dyn Saga> = Arc::new(Trip::new(Arc::clone(agency)));
        Engine::new(store.clone(), vec![trip], Options::default()).unwrap()
    }

    /// Sweeps for an engine, far more often than a shop would.
    pub(super) fn sweep(&self, engine: &Engine, stop: CancellationToken) -> JoinHandle<()> {
        let index = Arc::new(LogIndex::new(self.store.clone(), Position::ZERO));
        let pace = Pace {
            every: Duration::from_millis(20),
            grace: Duration::ZERO,
            again_after: Duration::from_millis(100),
            ..Pace::default()
        };
        let sweeper = Sweeper::new(self.store.clone(), engine.clone(), index, pace);
        tokio::spawn(sweeper.run(stop))
    }

    /// Waits until there is such an event in the log, without looking at any saga.
    pub(super) async fn comes_to(&self, event_type: &str) {
        until(event_type, STUCK, async || {
            let log = self.store.read_all(Position::ZERO, PAGE_MAX, None).await;
            let mut events = log.unwrap().events.into_iter();
            events
                .any(|event| &*event.event_type == event_type)
                .then_some(())
        })
        .await;
    }

    /// A trip that waits for its boarding.
    pub(super) async fn booked(&self) -> Uuid {
        let id = Uuid::now_v7();
        let started = self.engine.start("trip", id, Value::Null, Vec::new());
        let mut running = started.await.unwrap();
        let booked = running.wait_for(|now| {
            let waits = now.state.step("board").is_some();
            waits && now.state.is_done("mail")
        });
        booked.await.unwrap();
        id
    }
}

pub(super) fn request() -> Request {
    Request {
        actor: "operator".to_owned(),
        reason: "a test".to_owned(),
    }
}
