//! Keeps the doubt about a charge that its provider denies, until the provider confirms or refutes it, or a person is asked: one
//! webhook, one saga of one step, both with the webhook's id. What is asked and done is in [`doubt`](super::doubt).

use aggregates::saga::State;
use eventstore::StreamAppend;
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::doubt::{Asked, Question};
use crate::fulfilment::limits::Limits;
use crate::fulfilment::steps::ASK;
use crate::saga::definition::{Call, Definition, Outcome, Probe, RecordError, Saga, Transition};
use crate::saga::history::History;
use crate::saga::preflight::Known;
use crate::saga::step::{Class, OnRefusal, RetryPolicy, StepSpec};

/// The name its instances carry in the log.
pub(in crate::fulfilment) const NAME: &str = "denied-charge";

/// The version its instances carry in the log.
const VERSION: u32 = 1;

/// Looks before a person is asked, each twice as far from the one before as that was.
const LOOKS: u32 = 6;

/// All pauses between them together are so many times the first.
const PAUSES: u32 = (1 << LOOKS) - 1;

/// Charges that one process asks about at once: a provider that denies more of them is in trouble itself, and the others wait
/// for their next look.
const AT_ONCE: usize = 16;

/// What the saga is started with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::fulfilment) struct Input {
    pub(in crate::fulfilment) order_id: Uuid,
    pub(in crate::fulfilment) charge_ref: String,
}

/// Asks about a charge until somebody knows.
pub(in crate::fulfilment) struct DenialSaga {
    definition: Definition,
    questions: mpsc::Sender<Question>,
}

impl DenialSaga {
    pub(in crate::fulfilment) fn new(limits: &Limits, questions: mpsc::Sender<Question>) -> Self {
        Self {
            definition: definition(limits),
            questions,
        }
    }

    async fn ask(&self, state: &State, nth: u32) -> Probe {
        let unknown = |reason: String| Probe::Unknown { reason };
        let input: Input = match serde_json::from_value(state.input.clone()) {
            Ok(input) => input,
            Err(error) => return unknown(error.to_string()),
        };
        let (answer, asked) = oneshot::channel();
        let question = Question {
            order: input.order_id,
            charge_ref: input.charge_ref,
            last: nth >= LOOKS,
            answer,
        };
        if self.questions.try_send(question).is_err() {
            return unknown("too many charges are asked about".to_owned());
        }
        match asked.await {
            Ok(Asked::Over(came)) => Probe::Done(json!({ "came": came })),
            Ok(Asked::Open) => Probe::NotFound,
            Ok(Asked::Failed(reason)) => unknown(reason),
            Err(_) => unknown("nobody answers".to_owned()),
        }
    }
}

/// What can be told of it without anybody behind it.
pub(in crate::fulfilment) fn known(limits: &Limits) -> Known {
    Known {
        name: NAME,
        version: VERSION,
        definition: definition(limits),
        reads: |_| Ok(()),
    }
}

fn definition(limits: &Limits) -> Definition {
    let watch = limits.denied_charge_watch;
    let first = (watch / PAUSES).max(Duration::from_millis(1));
    // Beside the provider the log is asked, and written to.
    let ask = StepSpec::awaiting(
        ASK,
        Class::Retriable,
        RetryPolicy::new(first, watch.max(first)),
    )
    .time_limit(limits.call * 2)
    .concurrency(AT_ONCE)
    .on_refusal(OnRefusal::Accept);
    Definition {
        forward: vec![ask],
        branches: Vec::new(),
        unwind: Vec::new(),
    }
}

impl Saga for DenialSaga {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn can_be_undone(&self) -> bool {
        false
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        let reason = format!("nobody does {}", call.step);
        async move { Outcome::NotSent { reason } }.boxed()
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        self.ask(&call.state, call.attempt).boxed()
    }

    fn record(&self, _: &History, _: &Transition<'_>) -> Result<Vec<StreamAppend>, RecordError> {
        Ok(Vec::new())
    }
}
