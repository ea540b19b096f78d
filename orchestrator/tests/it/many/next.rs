//! The release to come: this build with one more version of the order's saga, which has one more step. No build before knows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aggregates::saga::{Stake, State};
use chrono::{DateTime, Utc};
use clap::Parser as _;
use eventstore::{Options, StreamAppend};
use futures_util::future::BoxFuture;
use orchestrator::app::App;
use orchestrator::cli::args::Cli;
use orchestrator::fulfilment::saga::NAME;
use orchestrator::saga::definition::{
    Branch, Call, Definition, Outcome, Probe, RecordError, Saga, Transition,
};
use orchestrator::saga::history::History;
use orchestrator::saga::step::{Class, StepSpec};
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

use super::crew::Crew;

/// The new step, which wraps the book as a present while it is paid for.
const WRAP: &str = "wrap";

/// How often the book of each order was wrapped. A key that is known is not wrapped again.
#[derive(Debug, Clone, Default)]
pub(super) struct Wrapped(Arc<Mutex<BTreeMap<Uuid, Vec<String>>>>);

impl Wrapped {
    fn wrap(&self, call: &Call) {
        let mut wrapped = self.0.lock().expect("no panic");
        let keys = wrapped.entry(call.saga_id).or_default();
        if !keys.contains(&call.key) {
            keys.push(call.key.clone());
        }
    }

    fn is_wrapped(&self, call: &Call) -> bool {
        let wrapped = self.0.lock().expect("no panic");
        wrapped
            .get(&call.saga_id)
            .is_some_and(|keys| keys.contains(&call.key))
    }

    /// Orders whose book was wrapped, and those of which it was more than once.
    pub(super) fn count(&self) -> (usize, usize) {
        let wrapped = self.0.lock().expect("no panic");
        let twice = wrapped.values().filter(|keys| keys.len() > 1);
        (wrapped.len(), twice.count())
    }
}

struct Next {
    present: Arc<dyn Saga>,
    definition: Definition,
    wrapped: Wrapped,
}

impl Next {
    fn after(present: Arc<dyn Saga>, wrapped: Wrapped) -> Self {
        let mut definition = present.definition().clone();
        definition.branches.push(Branch {
            after: "pay",
            step: StepSpec::call(WRAP, Class::Retriable),
        });
        Self {
            present,
            definition,
            wrapped,
        }
    }
}

impl Saga for Next {
    fn name(&self) -> &'static str {
        self.present.name()
    }

    fn version(&self) -> u32 {
        self.present.version() + 1
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn unwind(&self, state: &State) -> Vec<&'static str> {
        self.present.unwind(state)
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        if call.step != WRAP {
            return self.present.execute(call);
        }
        self.wrapped.wrap(call);
        Box::pin(async { Outcome::Done(Value::Null) })
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        if call.step != WRAP {
            return self.present.probe(call);
        }
        let is_wrapped = self.wrapped.is_wrapped(call);
        Box::pin(async move {
            match is_wrapped {
                true => Probe::Done(Value::Null),
                false => Probe::NotFound,
            }
        })
    }

    fn void<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        self.present.void(call)
    }

    fn record(
        &self,
        history: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        self.present.record(history, transition)
    }

    fn at_stake(&self, state: &State, history: &History) -> Option<Stake> {
        self.present.at_stake(state, history)
    }

    fn suggestion(&self, step: &StepSpec, state: &State) -> String {
        self.present.suggestion(step, state)
    }

    fn paused_until(&self, saga_id: Uuid, step: &'static str) -> Option<DateTime<Utc>> {
        match step {
            WRAP => None,
            step => self.present.paused_until(saga_id, step),
        }
    }
}

/// Starts the next release beside the crew, with all roles, within this process.
pub(super) async fn start(crew: &Crew, wrapped: &Wrapped) -> App {
    let folder = crew.town.folder.path();
    let data_dir = folder.join("next").to_string_lossy().into_owned();
    let key = folder
        .join("shop/master.key")
        .to_string_lossy()
        .into_owned();
    let arguments = [
        "bookmarket",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &data_dir,
        "--master-key-file",
        &key,
        "--simulator-url",
        &crew.town.world.url,
        "--payment-budget",
        "20s",
        "--breaker-slow-call",
        "10s",
    ];
    let mut settings = Cli::try_parse_from(arguments)
        .expect("good arguments")
        .settings;
    settings.store.database_url = Some(SecretString::from(crew.database.url()));
    settings.broker.nats_url = Some(SecretString::from(crew.nats.url()));
    let wrapped = wrapped.clone();
    let sagas = Box::new(move |mut sagas: Vec<Arc<dyn Saga>>| {
        let present = sagas.iter().find(|saga| saga.name() == NAME);
        let next = Next::after(Arc::clone(present.expect("ours")), wrapped);
        sagas.push(Arc::new(next));
        sagas
    });
    App::start_as(&settings, Options::default(), sagas)
        .await
        .expect("a server")
}
