//! Keeps a hint until the log knows what it is about: one webhook, one saga of one step, both with the webhook's id.

use std::time::Duration;

use aggregates::saga::State;
use eventstore::StreamAppend;
use futures_util::future::{BoxFuture, FutureExt};
use serde::Deserialize;
use serde_json::json;

use super::{About, Hint, Port, Targets};
use crate::saga::definition::{Call, Definition, Outcome, Probe, RecordError, Saga, Transition};
use crate::saga::history::History;
use crate::saga::preflight::Known;
use crate::saga::step::{Class, OnRefusal, RetryPolicy, StepSpec};

/// The name its instances carry in the log.
pub(in crate::fulfilment) const NAME: &str = "hint";

/// The version its instances carry in the log.
const VERSION: u32 = 1;

/// Look for whom it is.
const FIND: &str = "find";

/// Between the first looks: an order is in the log before its provider hears of it, so what is missing is a view that is a
/// moment behind, or an order of somebody else.
const LOOKS: RetryPolicy = RetryPolicy::new(Duration::from_secs(1), Duration::from_mins(10));

/// Providers themselves give up within days; whatever comes later is found by looking.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// What the saga is started with.
#[derive(Debug, Deserialize)]
struct Input {
    port: String,
    topic: String,
    about: About,
}

/// Looks for whom a hint is.
pub(in crate::fulfilment) struct HintSaga {
    definition: Definition,
    targets: Targets,
}

impl HintSaga {
    pub(in crate::fulfilment) fn new(targets: Targets) -> Self {
        Self {
            definition: definition(),
            targets,
        }
    }

    async fn look(&self, state: &State) -> Probe {
        let unknown = |reason: String| Probe::Unknown { reason };
        let input: Input = match serde_json::from_value(state.input.clone()) {
            Ok(input) => input,
            Err(error) => return unknown(error.to_string()),
        };
        let port = Port::ALL
            .into_iter()
            .find(|port| port.as_str() == input.port);
        let Some(port) = port else {
            return unknown(format!("nobody speaks for {}", input.port));
        };
        let saga = match self.targets.find(&input.about).await {
            Ok(Some(saga)) => saga,
            Ok(None) => return Probe::NotFound,
            Err(error) => return unknown(error.to_string()),
        };
        let topic = input.topic;
        let hint = Hint {
            port,
            saga,
            claim: None,
            topic,
        };
        if self.targets.pass_on(hint) {
            Probe::Done(json!({ "sagaId": saga }))
        } else {
            unknown("too many hints wait to be passed on".to_owned())
        }
    }
}

/// What can be told of it without anybody behind it.
pub(in crate::fulfilment) fn known() -> Known {
    Known {
        name: NAME,
        version: VERSION,
        definition: definition(),
        reads: |_| Ok(()),
    }
}

fn definition() -> Definition {
    let find = StepSpec::awaiting(FIND, Class::Retriable, LOOKS)
        .give_up_after(GIVE_UP_AFTER)
        .on_refusal(OnRefusal::Accept);
    Definition {
        forward: vec![find],
        branches: Vec::new(),
        unwind: Vec::new(),
    }
}

impl Saga for HintSaga {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        let reason = format!("nobody does {}", call.step);
        async move { Outcome::NotSent { reason } }.boxed()
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        self.look(&call.state).boxed()
    }

    fn record(&self, _: &History, _: &Transition<'_>) -> Result<Vec<StreamAppend>, RecordError> {
        Ok(Vec::new())
    }
}
