//! Gives a charge back that pays for nothing: one charge, one saga of one step. Its id follows from the charge, so that
//! however many find it, it goes back once.

use std::sync::Arc;

use aggregates::money::{Currency, Money};
use aggregates::payment::{self, Payment};
use aggregates::saga::{SagaEvent, Stake, State, StepDone, Verdict};
use aggregates::{Decider, Event, ids};
use chrono::{DateTime, TimeDelta, Utc};
use eventstore::{EventStore, Expected, ReadError, StreamAppend};
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::execute::{Aggregate, to_stream};
use crate::fulfilment::limits::Limits;
use crate::fulfilment::outputs::MoneyOutput;
use crate::fulfilment::participants::{Participants, to_outcome, to_probe};
use crate::fulfilment::steps::RETURN_CHARGE;
use crate::providers::ports::Refund;
use crate::saga::definition::{Call, Definition, Outcome, Probe, RecordError, Saga, Transition};
use crate::saga::history::History;
use crate::saga::preflight::Known;
use crate::saga::step::{Class, StepSpec};
use crate::saga::view::{LoadError, Snapshot};

/// The name its instances carry in the log.
pub(in crate::fulfilment) const NAME: &str = "return-charge";

/// The version its instances carry in the log.
const VERSION: u32 = 1;

/// A charge of unknown age was found by a comparison, and those look no further back than this.
const FOUND_WITHIN: TimeDelta = TimeDelta::days(31);

/// What the saga is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    /// The order it was charged for, ours or not.
    pub(super) order_id: Uuid,
    /// Its customer, if the log knows the order.
    pub(super) customer_id: Option<String>,
    pub(super) charge_ref: String,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    /// When it was made, by the provider's books; sagas that are older than this field have none.
    #[serde(default)]
    pub(super) charged_at: Option<DateTime<Utc>>,
    /// Who has it given back.
    pub(super) actor: String,
    /// Why.
    pub(super) reason: String,
}

impl Input {
    fn of(state: &State) -> Result<Self, RecordError> {
        serde_json::from_value(state.input.clone()).map_err(|error| RecordError {
            reason: format!("what was to be given back is not in its form: {error}"),
        })
    }

    pub(super) fn money(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    /// The saga of this charge.
    pub(super) fn saga_id(&self) -> Uuid {
        ids::return_id(&self.order_id.to_string(), &self.charge_ref)
    }
}

/// Gives one charge back.
pub(in crate::fulfilment) struct ReturnSaga {
    definition: Definition,
    participants: Participants,
}

impl ReturnSaga {
    pub(in crate::fulfilment) fn new(limits: &Limits, participants: Participants) -> Self {
        Self {
            definition: definition(limits),
            participants,
        }
    }

    async fn give_back(&self, call: &Call) -> Outcome {
        let refund = match refund(call) {
            Ok(refund) => refund,
            Err(RecordError { reason }) => return Outcome::NotSent { reason },
        };
        let payments = Arc::clone(&self.participants.providers.payments);
        let sending = async move { to_outcome(payments.refund(refund).await) };
        self.participants.guards.execute(call, sending).await
    }

    async fn look(&self, call: &Call) -> Probe {
        let refund = match refund(call) {
            Ok(refund) => refund,
            Err(RecordError { reason }) => return Probe::Unknown { reason },
        };
        let payments = Arc::clone(&self.participants.providers.payments);
        let looking = async move { to_probe(payments.probe_refund(refund).await) };
        self.participants.guards.probe(call, looking).await
    }
}

fn refund(call: &Call) -> Result<Refund, RecordError> {
    let input = Input::of(&call.state)?;
    Ok(Refund {
        key: call.key.clone(),
        order_id: input.order_id,
        amount: input.money(),
        charged_after: input
            .charged_at
            .unwrap_or(call.state.started_at - FOUND_WITHIN),
        charge_ref: input.charge_ref,
    })
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
    // Nobody may leave it out: a charge that nobody looks for any more is kept for nothing.
    let give_back = StepSpec::call(RETURN_CHARGE, Class::Compensation)
        .time_limit(limits.call)
        .retry(limits.retry_first, limits.retry_cap)
        .concurrency(limits.steps)
        .park_after(limits.undecided)
        .suggestion(
            "give the money back another way and resolve as done with {\"ref\": ...}, or retry",
        );
    Definition {
        forward: vec![give_back],
        branches: Vec::new(),
        unwind: Vec::new(),
    }
}

impl Saga for ReturnSaga {
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
        self.give_back(call).boxed()
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        self.look(call).boxed()
    }

    fn record(
        &self,
        _: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        let back = transition.events.iter().find_map(|event| match event {
            SagaEvent::StepDone(StepDone { output, .. }) => Some(output),
            SagaEvent::StepResolved(resolved) if resolved.outcome == Verdict::Done => {
                Some(&resolved.evidence)
            }
            _ => None,
        });
        let Some(output) = back.filter(|_| !transition.before.is_done(RETURN_CHARGE)) else {
            return Ok(Vec::new());
        };
        let output = serde_json::from_value::<MoneyOutput>(output.clone());
        let output = output.map_err(|error| RecordError {
            reason: format!("what giving back came to is not in its form: {error}"),
        })?;
        returned(
            &Input::of(transition.after)?,
            output.reference,
            transition.at,
        )
    }

    fn at_stake(&self, state: &State, _: &History) -> Option<Stake> {
        let input = Input::of(state).ok()?;
        Some(Stake {
            amount: input.amount,
            currency: input.currency.to_string(),
        })
    }

    fn paused_until(&self, saga_id: Uuid, step: &'static str) -> Option<DateTime<Utc>> {
        self.participants.guards.paused_until((saga_id, step))
    }
}

/// Whether such a saga is over and has given nothing back: older builds let people cancel it, or leave its step out.
pub(super) async fn is_given_up(store: &EventStore, id: Uuid) -> Result<bool, ReadError> {
    match Snapshot::load(store, id).await {
        Ok((snapshot, _)) => {
            let state = &snapshot.state;
            Ok(state.is_finished() && !state.is_done(RETURN_CHARGE))
        }
        Err(LoadError::Read(error)) => Err(error),
        Err(LoadError::LeftAlone(_)) => Ok(false),
    }
}

/// Charges on these books that pay for nothing and whose saga has given them up.
pub(super) async fn given_up(
    store: &EventStore,
    order_id: Uuid,
    payment: Option<&Payment>,
) -> Result<Vec<String>, ReadError> {
    let charges = payment.into_iter().flat_map(|payment| &payment.charges);
    let mut given_up = Vec::new();
    for charge in charges.filter(|charge| charge.excess && charge.refund_ref.is_none()) {
        let saga = ids::return_id(&order_id.to_string(), &charge.provider_ref);
        if is_given_up(store, saga).await? {
            given_up.push(charge.provider_ref.clone());
        }
    }
    Ok(given_up)
}

/// The charge is on the order's books since the saga began, and nobody but the saga writes that it went back: so it follows
/// whatever else stands there by now.
fn returned(
    input: &Input,
    refund_ref: String,
    at: DateTime<Utc>,
) -> Result<Vec<StreamAppend>, RecordError> {
    let Some(customer) = &input.customer_id else {
        return Ok(Vec::new());
    };
    let to_error = |error: payment::Rejection| RecordError {
        reason: error.to_string(),
    };
    let command = |action| payment::Command {
        order_id: input.order_id,
        customer_id: customer.clone(),
        at,
        action,
    };
    let charged = Payment::decide(&None, &command(excess(input))).map_err(to_error)?;
    let state = Payment::fold(None, &charged).map_err(|error| RecordError {
        reason: error.to_string(),
    })?;
    let back = payment::Action::RecordExcessReturn {
        provider_ref: input.charge_ref.clone(),
        refund_ref,
    };
    let events = Payment::decide(&state, &command(back)).map_err(to_error)?;
    let (id, events) = (input.order_id, events.into_iter().map(Event::from));
    Ok(vec![to_stream(
        Payment::CATEGORY,
        id,
        Expected::Any,
        events,
        id,
    )])
}

/// That the charge was made.
pub(super) fn excess(input: &Input) -> payment::Action {
    payment::Action::RecordExcess {
        money: input.money(),
        provider_ref: input.charge_ref.clone(),
    }
}
