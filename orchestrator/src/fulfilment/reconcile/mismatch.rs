//! Puts a mismatch into a person's hands: one mismatch, one saga of one step, parked from its first look on. It is listed with
//! what is at stake and what to do, until somebody resolves or skips it; that is an event too.

use aggregates::money::{Currency, Money};
use aggregates::payment::{self, Payment};
use aggregates::saga::{SagaEvent, Stake, State};
use aggregates::{Event, ids};
use eventstore::{Expected, StreamAppend};
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

use super::finding::Finding;
use crate::execute::{Aggregate, to_stream};
use crate::fulfilment::steps::SETTLE;
use crate::saga::definition::{Call, Definition, Outcome, Probe, RecordError, Saga, Transition};
use crate::saga::history::History;
use crate::saga::preflight::Known;
use crate::saga::step::{Class, RetryPolicy, StepSpec};

/// The name its instances carry in the log.
pub(in crate::fulfilment) const NAME: &str = "mismatch";

/// The version its instances carry in the log.
const VERSION: u32 = 1;

/// The first look, which parks it, comes at once.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What the saga is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    pub(super) order_id: String,
    /// Its customer, if the order's books say of the mismatch.
    pub(super) customer_id: Option<String>,
    code: String,
    reference: String,
    /// What the provider said of it.
    #[serde(default)]
    provider: String,
    reason: String,
    suggestion: String,
    at_stake: Option<Money>,
    /// Who found it.
    actor: String,
}

impl Input {
    pub(super) fn new(finding: &Finding, actor: &str) -> Self {
        Self {
            order_id: finding.order_id.clone(),
            customer_id: None,
            code: finding.code.to_owned(),
            reference: finding.reference.clone(),
            provider: finding.provider.clone(),
            reason: format!(
                "The provider says: {}. The log says: {}.",
                finding.provider, finding.log
            ),
            suggestion: finding.suggestion.to_owned(),
            at_stake: finding.at_stake,
            actor: actor.to_owned(),
        }
    }

    fn of(state: &State) -> Result<Self, RecordError> {
        serde_json::from_value(state.input.clone()).map_err(|error| RecordError {
            reason: format!("the mismatch is not in its form: {error}"),
        })
    }

    /// The saga of this mismatch. Another sum, or a parcel that went further, is another mismatch: whoever settled the first
    /// one did not know of it.
    pub(super) fn saga_id(&self) -> Uuid {
        ids::mismatch_id(&self.order_id, &self.code, &self.reference, &self.provider)
    }

    /// That it was found, for the order's own books.
    pub(super) fn found(&self) -> payment::Action {
        payment::Action::RecordMismatch {
            finding: self.saga_id(),
            code: self.code.clone(),
            reason: self.reason.clone(),
            at_stake: self.at_stake.unwrap_or(Money::new(0, Currency::KRW)),
        }
    }
}

/// Waits for a person.
pub(in crate::fulfilment) struct MismatchSaga {
    definition: Definition,
}

impl MismatchSaga {
    pub(in crate::fulfilment) fn new() -> Self {
        Self {
            definition: definition(),
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
    let settle = StepSpec::awaiting(SETTLE, Class::Retriable, RetryPolicy::new(AT_ONCE, AT_ONCE));
    Definition {
        forward: vec![settle],
        branches: Vec::new(),
        unwind: Vec::new(),
    }
}

impl Saga for MismatchSaga {
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

    /// Nobody settles it by themselves; once a person was asked, it is as the person says.
    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        let asked = call
            .state
            .step(SETTLE)
            .is_some_and(|step| step.parked.is_some());
        let answer = match Input::of(&call.state) {
            _ if asked => Probe::Done(serde_json::Value::Null),
            Ok(Input { code, reason, .. }) => Probe::Refused { code, reason },
            Err(error) => Probe::Unknown {
                reason: error.reason,
            },
        };
        async move { answer }.boxed()
    }

    fn record(
        &self,
        _: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        let settled = transition.events.iter().find_map(|event| match event {
            SagaEvent::StepResolved(resolved) => Some(&resolved.reason),
            SagaEvent::StepSkipped(skipped) => Some(&skipped.reason),
            _ => None,
        });
        match settled {
            Some(reason) => of_settlement(transition, reason),
            None => Ok(Vec::new()),
        }
    }

    fn at_stake(&self, state: &State, _: &History) -> Option<Stake> {
        let at_stake = Input::of(state).ok()?.at_stake?;
        Some(Stake {
            amount: at_stake.amount,
            currency: at_stake.currency.to_string(),
        })
    }

    fn suggestion(&self, _: &StepSpec, state: &State) -> String {
        Input::of(state).map_or_else(|error| error.reason, |input| input.suggestion)
    }
}

/// The mismatch is on the order's books since the saga began, and nobody but the saga writes that it is settled.
fn of_settlement(
    transition: &Transition<'_>,
    reason: &str,
) -> Result<Vec<StreamAppend>, RecordError> {
    let input = Input::of(transition.after)?;
    let (Some(customer), Ok(order_id)) = (&input.customer_id, Uuid::try_parse(&input.order_id))
    else {
        return Ok(Vec::new());
    };
    let event = payment::MismatchSettled {
        order_id,
        customer_id: customer.clone(),
        occurred_at: aggregates::instant::to_millis(transition.at),
        finding: transition.saga_id,
        reason: reason.to_owned(),
    };
    let events = [Event::from(payment::PaymentEvent::from(event))];
    Ok(vec![to_stream(
        Payment::CATEGORY,
        order_id,
        Expected::Any,
        events,
        order_id,
    )])
}
