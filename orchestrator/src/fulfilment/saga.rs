//! The fulfilment saga: pay -> ship -> handover -> track, with a message beside it, and the way back.

use aggregates::saga::{CauseKind, Stake, Standing, State, Verdict};
use chrono::{DateTime, Utc};
use eventstore::StreamAppend;
use futures_util::future::{BoxFuture, FutureExt};

use super::facts::Facts;
use super::limits::Limits;
use super::participants::Participants;
use super::record;
use super::steps::*;
use crate::saga::definition::{
    Branch, Call, Definition, Outcome, Probe, RecordError, Saga, Transition,
};
use crate::saga::history::History;
use crate::saga::step::{Class, OnRefusal, RetryPolicy, StepSpec};

/// The name its instances carry in the log.
pub const NAME: &str = "fulfilment";

/// Drives one order.
pub struct FulfilmentSaga {
    definition: Definition,
    participants: Participants,
}

impl FulfilmentSaga {
    /// The saga with these participants behind it.
    pub(super) fn new(limits: &Limits, participants: Participants) -> Self {
        Self {
            definition: definition(limits),
            participants,
        }
    }
}

fn definition(limits: &Limits) -> Definition {
    let call = |name, class| {
        StepSpec::call(name, class)
            .time_limit(limits.call)
            .retry(limits.retry_first, limits.retry_cap)
            .concurrency(limits.concurrency)
    };
    let looks = RetryPolicy::new(limits.look_first, limits.look_cap);
    let watch = RetryPolicy::new(limits.late_charge_watch / 8, limits.late_charge_watch);
    let message = |name| {
        call(name, Class::Retriable)
            .unkeyed()
            .on_refusal(OnRefusal::Accept)
            .give_up_after(limits.message_budget)
    };
    Definition {
        forward: vec![
            call(PAY, Class::Compensatable)
                .execute_until(limits.payment_deadline, PAYMENT_EXPIRED)
                .undone_by(REFUND),
            call(SHIP, Class::Compensatable).undone_by(CANCEL_DELIVERY),
            StepSpec::awaiting(HANDOVER, Class::Pivot, looks).suggestion(
                "the parcel left although it was held: get it back and resolve as undone, or resolve as done and keep the money",
            ),
            StepSpec::awaiting(TRACK, Class::Retriable, looks)
                .give_up_after(limits.tracking)
                .on_refusal(OnRefusal::Accept),
        ],
        branches: vec![Branch { after: SHIP, step: message(NOTIFY) }],
        unwind: vec![
            call(HOLD, Class::Compensation).on_refusal(OnRefusal::RefuseCancel).suggestion(
                "ask the carrier to keep the parcel, then retry, or resolve as done with what it said",
            ),
            // Nothing of the money moves while it is open whether the parcel stays.
            StepSpec::local(CANCEL_ORDER, Class::Compensation).needs(&[HOLD, HANDOVER]),
            call(REFUND, Class::Compensation).needs(&[HOLD, HANDOVER]).suggestion(
                "give the money back another way and resolve as done with {\"ref\": ...}, or retry",
            ),
            call(CANCEL_DELIVERY, Class::Compensation).needs(&[HOLD, HANDOVER, REFUND]).suggestion(
                "have the carrier void the label, then resolve as done",
            ),
            message(TELL).needs(&[HANDOVER, REFUND]),
            StepSpec::awaiting(LATE_CHARGE, Class::Retriable, watch)
                .give_up_after(limits.late_charge_watch)
                .on_refusal(OnRefusal::Accept),
        ],
    }
}

/// Which unwind steps, in order.
///
/// The parcel comes before the money: a refund for a parcel that can still leave loses both.
fn unwind(state: &State) -> Vec<&'static str> {
    // An operator found that the parcel is gone for good: the sale stands, there is nothing to undo.
    if state
        .step(HANDOVER)
        .is_some_and(|step| step.resolved == Some(Verdict::Done))
    {
        return Vec::new();
    }
    let (paid, shipped) = (state.is_done(PAY), state.is_done(SHIP));
    let mut list = Vec::with_capacity(7);
    let turned_up = state.is_done(LATE_CHARGE);
    if never_paid(state) {
        if turned_up || charge_may_turn_up(state) {
            list.push(LATE_CHARGE);
        }
        if turned_up || paid {
            list.push(REFUND);
        }
        return list;
    }
    if shipped {
        list.push(HOLD);
    }
    list.push(CANCEL_ORDER);
    if paid {
        list.push(REFUND);
    }
    if shipped {
        list.push(CANCEL_DELIVERY);
    }
    list.push(TELL);
    if turned_up || charge_may_turn_up(state) {
        list.push(LATE_CHARGE);
    }
    if turned_up && !paid {
        list.push(REFUND);
    }
    list
}

/// The order was rejected: the saga turned round because the payment was refused.
fn never_paid(state: &State) -> bool {
    let cause = state.unwind.as_ref().map(|unwind| &unwind.cause);
    cause
        .is_some_and(|cause| cause.kind == CauseKind::Refused && cause.step.as_deref() == Some(PAY))
}

/// The payment was given up without an answer of the provider: a charge may lie on the way for longer than anybody waited.
fn charge_may_turn_up(state: &State) -> bool {
    state.step(PAY).is_some_and(|step| match &step.standing {
        Standing::Refused { code, .. } => record::is_our_own(code),
        _ => false,
    })
}

impl Saga for FulfilmentSaga {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        1
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn unwind(&self, state: &State) -> Vec<&'static str> {
        unwind(state)
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        self.participants.execute(call).boxed()
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        self.participants.probe(call).boxed()
    }

    fn record(
        &self,
        history: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        record::record(history, transition)
    }

    fn at_stake(&self, history: &History) -> Option<Stake> {
        let facts = Facts::fold(history.events()).ok()?;
        let kept = facts.payment.as_ref().and_then(|payment| payment.kept());
        // Once the money is back it is the books themselves that may be lost.
        let parcel = facts
            .delivery
            .as_ref()
            .and_then(|delivery| delivery.parcel.as_ref());
        let goods = || parcel.and(facts.order.as_ref()).map(|order| order.total);
        let stake = kept.map(|kept| kept.money).or_else(goods)?;
        Some(Stake {
            amount: stake.amount,
            currency: stake.currency.to_string(),
        })
    }

    fn paused_until(&self, step: &str) -> Option<DateTime<Utc>> {
        self.participants.paused_until(step)
    }
}
