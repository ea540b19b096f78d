//! The book market's own saga: an order is paid, shipped, handed over and delivered, or unwound so that neither money nor
//! parcel is lost.
//!
//! * [`saga`] and [`steps`] say what is done in which order, [`limits`] for how long.
//! * [`record`] (pure) turns what happened into domain events, [`participants`] calls the providers.
//! * [`Fulfilment`] is what the edge talks to: place, cancel, send, erase, and the aggregates themselves.
//! * [`hints`] takes in what providers tell of their own accord, [`reconcile`] compares their books with ours.
//! * [`audit`] compares the log with the simulated providers' ledger.
//!
//! Nothing here knows a socket or a line of SQL.

pub mod answers;
pub mod audit;
pub mod cancel;
pub mod erase;
pub mod facts;
pub mod hints;
pub mod limits;
pub mod messages;
mod outputs;
pub mod participants;
pub mod personal;
pub mod place;
pub mod queries;
pub mod reconcile;
mod record;
pub mod saga;
mod steps;
mod unsure;

use std::sync::Arc;

use eventstore::{EventStore, Vault};
use projections::Projections;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::providers::guard::Policy;
use crate::saga::definition::{DefinitionError, Saga};
use crate::saga::engine::{self, Engine};
use crate::saga::preflight::Known;
use hints::saga::HintSaga;
use hints::{Hint, Targets};
use limits::Limits;
use messages::MessageSaga;
use participants::{Guards, Participants, Providers};
use reconcile::denial::DenialSaga;
use reconcile::doubt::{self, Question};
use reconcile::mismatch::MismatchSaga;
use reconcile::restitution::ReturnSaga;
use saga::FulfilmentSaga;
use unsure::Unsure;

/// Everything the edge may ask for. Cheap to clone.
#[derive(Clone)]
pub struct Fulfilment {
    store: EventStore,
    vault: Vault,
    engine: Engine,
    guards: Arc<Guards>,
    limits: Limits,
    providers: Providers,
    targets: Targets,
    /// Rung when a provider says what our books do not.
    suspicion: Arc<Notify>,
    unsure: Arc<Unsure>,
}

/// The steps whose outcome a customer waits for. A process that takes orders begins them itself.
pub const IN_REQUESTS: &[&str] = &[steps::PAY];

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
    /// When a provider counts as away, and how much of it is used at once.
    pub guard: Policy,
}

/// The sagas of this product, for an engine.
pub struct Sagas {
    list: Vec<Arc<dyn Saga>>,
    guards: Arc<Guards>,
    targets: Targets,
    hints: mpsc::Receiver<Hint>,
    questions: mpsc::Receiver<Question>,
}

impl Sagas {
    /// The sagas with these participants.
    #[must_use]
    pub fn new(parts: &Parts) -> Self {
        let guards = Arc::new(Guards::new(
            &parts.guard,
            parts.limits.steps,
            parts.providers.external.keys().copied(),
        ));
        let participants = Participants {
            providers: parts.providers.clone(),
            guards: Arc::clone(&guards),
            vault: parts.vault.clone(),
            limits: parts.limits.clone(),
        };
        let (sender, hints) = mpsc::channel(hints::WAITING);
        let targets = Targets::new(parts.store.clone(), sender);
        let (asker, questions) = mpsc::channel(doubt::WAITING);
        let messages = MessageSaga::new(&parts.limits, participants.clone(), parts.store.clone());
        let returns = ReturnSaga::new(&parts.limits, participants.clone());
        let orders = FulfilmentSaga::new(&parts.limits, participants);
        Self {
            list: vec![
                Arc::new(orders),
                Arc::new(messages),
                Arc::new(returns),
                Arc::new(MismatchSaga::new()),
                Arc::new(HintSaga::new(targets.clone())),
                Arc::new(DenialSaga::new(&parts.limits, asker)),
            ],
            guards,
            targets,
            hints,
            questions,
        }
    }

    /// The definitions.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<dyn Saga>> {
        self.list.clone()
    }
}

/// The sagas of this build, for a look at what is running; calls nobody. Whatever [`Sagas`] has is among them.
#[must_use]
pub fn known_sagas(limits: &Limits) -> [Known; 6] {
    [
        saga::known(limits),
        messages::known(limits),
        reconcile::restitution::known(limits),
        reconcile::mismatch::known(),
        hints::saga::known(),
        reconcile::denial::known(limits),
    ]
}

impl Fulfilment {
    /// Fulfilment with an engine of its own.
    pub fn new(parts: Parts, options: engine::Options) -> Result<Self, DefinitionError> {
        Self::with_sagas(parts, options, |own| own)
    }

    /// The same with other sagas than its own, such as a version to come beside the present one.
    pub fn with_sagas(
        parts: Parts,
        options: engine::Options,
        choose: impl FnOnce(Vec<Arc<dyn Saga>>) -> Vec<Arc<dyn Saga>>,
    ) -> Result<Self, DefinitionError> {
        let sagas = Sagas::new(&parts);
        let engine = Engine::new(parts.store.clone(), choose(sagas.list()), options)?;
        let Parts {
            store,
            vault,
            limits,
            providers,
            ..
        } = parts;
        let fulfilment = Self {
            store,
            vault,
            engine,
            guards: sagas.guards,
            unsure: Arc::new(Unsure::new(limits.payment_deadline)),
            limits,
            providers,
            targets: sagas.targets,
            suspicion: Arc::default(),
        };
        fulfilment.follow_hints(sagas.hints);
        fulfilment.answer(sagas.questions);
        Ok(fulfilment)
    }

    /// How long it waits for what.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Has parcels that providers name by their numbers looked up in these views.
    pub fn look_up_parcels_in(&self, views: Projections) {
        self.targets.look_up_in(views);
    }

    /// The engine, for operators' verbs, the sweeper and an orderly stop.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What stands between us and the providers.
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
        // Leads to the look for the handover where that is still awaited.
        self.engine.hint(order, steps::TRACK);
    }
}
