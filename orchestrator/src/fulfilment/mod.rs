//! The book market's own saga: an order is paid, shipped, handed over and delivered, or unwound so that neither money nor
//! parcel is lost.
//!
//! * [`saga`] and [`steps`] say what is done in which order, [`limits`] for how long.
//! * [`record`] (pure) turns what happened into domain events, [`participants`] calls the providers.
//! * [`Fulfilment`] is what the edge talks to: place, cancel, send, erase, and the aggregates themselves.
//! * [`audit`] compares the log with the providers' ledger.
//!
//! Nothing here knows a socket or a line of SQL.

pub mod answers;
pub mod audit;
pub mod cancel;
pub mod erase;
pub mod facts;
pub mod limits;
pub mod messages;
mod outputs;
pub mod participants;
pub mod personal;
pub mod place;
pub mod queries;
mod record;
pub mod saga;
mod steps;

use std::sync::Arc;

use eventstore::{EventStore, Vault};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::providers::breaker::Policy;
use crate::saga::definition::{DefinitionError, Saga};
use crate::saga::engine::{self, Engine};
use limits::Limits;
use messages::MessageSaga;
use participants::{Guards, Participants, Providers};
use saga::FulfilmentSaga;

/// Everything the edge may ask for. Cheap to clone.
#[derive(Clone)]
pub struct Fulfilment {
    store: EventStore,
    vault: Vault,
    engine: Engine,
    guards: Arc<Guards>,
    limits: Limits,
}

/// What fulfilment is made of.
pub struct Parts {
    /// The log.
    pub store: EventStore,
    /// Keeps personal data.
    pub vault: Vault,
    /// Whom the sagas call.
    pub providers: Providers,
    /// How long they wait.
    pub limits: Limits,
    /// When a provider counts as away.
    pub breakers: Policy,
}

/// The sagas of this product, for an engine or for a check of what is running.
pub struct Sagas {
    list: Vec<Arc<dyn Saga>>,
    guards: Arc<Guards>,
}

impl Sagas {
    /// The sagas with these participants.
    #[must_use]
    pub fn new(parts: &Parts) -> Self {
        let guards = Arc::new(Guards::new(&parts.breakers));
        let participants = Participants {
            providers: parts.providers.clone(),
            guards: Arc::clone(&guards),
            vault: parts.vault.clone(),
            limits: parts.limits.clone(),
        };
        let messages = MessageSaga::new(&parts.limits, participants.clone());
        let orders = FulfilmentSaga::new(&parts.limits, participants);
        Self {
            list: vec![Arc::new(orders), Arc::new(messages)],
            guards,
        }
    }

    /// The definitions.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<dyn Saga>> {
        self.list.clone()
    }
}

impl Fulfilment {
    /// Fulfilment with an engine of its own.
    pub fn new(parts: Parts, options: engine::Options) -> Result<Self, DefinitionError> {
        let sagas = Sagas::new(&parts);
        let engine = Engine::new(parts.store.clone(), sagas.list(), options)?;
        let Parts {
            store,
            vault,
            limits,
            ..
        } = parts;
        Ok(Self {
            store,
            vault,
            engine,
            guards: sagas.guards,
            limits,
        })
    }

    /// The engine, for operators' verbs, the sweeper and an orderly stop.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the breakers let through.
    #[must_use]
    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    /// Passes the carrier's hints on, as long as there are any.
    pub async fn follow_scans(&self, mut scans: mpsc::Receiver<Uuid>) {
        while let Some(order) = scans.recv().await {
            self.scanned(order);
        }
    }

    /// Somebody says that a parcel was scanned; the carrier itself is asked.
    pub fn scanned(&self, order: Uuid) {
        self.engine.hint(order, steps::HANDOVER);
        self.engine.hint(order, steps::TRACK);
    }
}
