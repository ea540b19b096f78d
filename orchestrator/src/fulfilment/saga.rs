//! The fulfilment saga: pay -> ship -> handover -> track, with a message beside it, and the way back.

use std::time::Duration;

use aggregates::saga::{CauseKind, Stake, Standing, State, Verdict};
use chrono::{DateTime, Utc};
use eventstore::StreamAppend;
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::facts::Facts;
use super::limits::Limits;
use super::participants::Participants;
use super::record;
use super::steps::*;
use crate::saga::definition::{
    Branch, Call, Definition, Outcome, Probe, RecordError, Saga, Transition,
};
use crate::saga::history::History;
use crate::saga::plan::doubtful;
use crate::saga::preflight::Known;
use crate::saga::step::{Class, OnRefusal, RetryPolicy, StepSpec};

/// The name its instances carry in the log.
pub const NAME: &str = "fulfilment";

/// The longest pause between two attempts at a payment: the customer waits for the answer, and after an outage of the
/// provider everybody has theirs within a minute, or within a hundredth of the time that it lasted.
const PAY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// When a charge that was given up is looked for first. Most of those that come late come soon.
const LATE_CHARGE_FIRST: Duration = Duration::from_secs(10);

/// Looks of one kind in flight, at most: the carrier is asked for parcels as well, and has to have time for those that are to go.
const LOOKS_MAX: usize = 64;

/// The version its instances carry in the log.
const VERSION: u32 = 1;

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

/// What can be told of it without anybody behind it.
pub(super) fn known(limits: &Limits) -> Known {
    Known {
        name: NAME,
        version: VERSION,
        definition: definition(limits),
        reads: |history| {
            Facts::fold(history.events())
                .map(drop)
                .map_err(RecordError::of)
        },
    }
}

fn definition(limits: &Limits) -> Definition {
    let call = |name, class| {
        StepSpec::call(name, class)
            .time_limit(limits.call)
            .retry(limits.retry_first, limits.retry_cap)
            .concurrency(limits.steps)
    };
    let decided = |name, class| call(name, class).park_after(limits.undecided);
    let wait = |name, class, looks| {
        StepSpec::awaiting(name, class, looks)
            .time_limit(limits.call)
            .concurrency(limits.steps.min(LOOKS_MAX))
    };
    let looks = RetryPolicy::new(limits.look_first, limits.look_cap);
    let watched = limits.late_charge_watch;
    let watch = RetryPolicy::new(LATE_CHARGE_FIRST.min(watched / 8), watched / 4);
    let message = |name| {
        call(name, Class::Retriable)
            .unkeyed()
            .on_refusal(OnRefusal::Accept)
            .give_up_after(limits.message_budget)
    };
    Definition {
        forward: vec![
            call(PAY, Class::Compensatable)
                .concurrency(limits.payments)
                .park_after(limits.payment_deadline + limits.undecided)
                .retry(limits.retry_first, limits.retry_cap.min(PAY_PAUSE_MAX))
                .execute_until(limits.payment_deadline, PAYMENT_EXPIRED)
                .undone_by(REFUND),
            decided(SHIP, Class::Compensatable).undone_by(CANCEL_DELIVERY),
            wait(HANDOVER, Class::Pivot, looks).park_after(limits.handover).suggestion(
                "the parcel left although it was held: get it back and resolve as undone, or resolve as done and keep the money",
            ),
            wait(TRACK, Class::Retriable, looks)
                .give_up_after(limits.tracking)
                .on_refusal(OnRefusal::Accept),
        ],
        branches: vec![Branch { after: SHIP, step: message(NOTIFY) }],
        unwind: vec![
            decided(HOLD, Class::Compensation).on_refusal(OnRefusal::RefuseCancel(HANDED_OVER)).suggestion(
                "ask the carrier to keep the parcel, then retry, or resolve as done with what it said; as undone it refuses the request to cancel",
            ),
            // Nothing of the money moves while it is open whether the parcel stays.
            StepSpec::local(CANCEL_ORDER, Class::Compensation).needs(&[HOLD, HANDOVER]),
            decided(REFUND, Class::Compensation).needs(&[HOLD, HANDOVER]).suggestion(
                "give the money back another way and resolve as done with {\"ref\": ...}, or retry",
            ),
            decided(CANCEL_DELIVERY, Class::Compensation).needs(&[HOLD, HANDOVER, REFUND]).suggestion(
                "have the carrier void the label, then resolve as done",
            ),
            message(TELL).needs(&[HANDOVER, REFUND]),
            wait(LATE_CHARGE, Class::Retriable, watch)
                .give_up_after(limits.late_charge_watch)
                .on_refusal(OnRefusal::Accept),
        ],
    }
}

/// Which unwind steps, in order.
///
/// The parcel comes before the money: a refund for a parcel that can still leave loses both.
fn unwind(state: &State) -> Vec<&'static str> {
    // An operator found that the parcel is gone for good: the sale stands, there is nothing to undo. Money that may have gone back
    // before that is only looked for.
    if state
        .step(HANDOVER)
        .is_some_and(|step| step.resolved == Some(Verdict::Done))
    {
        let doubt = state.step(REFUND).is_some_and(doubtful);
        return if doubt { vec![REFUND] } else { Vec::new() };
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
        VERSION
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

    fn at_stake(&self, state: &State, history: &History) -> Option<Stake> {
        let facts = Facts::fold(history.events()).ok()?;
        let kept = facts.payment.as_ref().and_then(|payment| payment.kept());
        // A charge that nobody can make out may be as much as the order costs.
        let open = state.step(PAY).filter(|step| !step.is_settled());
        let charge = || open.and(facts.order.as_ref()).map(|order| order.total);
        // Once the money is back it is the books themselves that may be lost.
        let parcel = facts
            .delivery
            .as_ref()
            .and_then(|delivery| delivery.parcel.as_ref());
        let goods = || parcel.and(facts.order.as_ref()).map(|order| order.total);
        let stake = kept.map(|kept| kept.money).or_else(charge).or_else(goods)?;
        Some(Stake {
            amount: stake.amount,
            currency: stake.currency.to_string(),
        })
    }

    fn suggestion(&self, step: &StepSpec, state: &State) -> String {
        let forward = state.unwind.is_none();
        match step.name {
            PAY => "look the payment up at its provider: give back there what is wrong, then retry, or resolve with what is so",
            SHIP if forward => "ask the carrier whether it has the parcel, then retry, or cancel the order",
            HANDOVER if forward => "find the parcel: cancel the order if it never left, or have the carrier scan it; it is looked for all the same",
            // The order is canceled as soon as the hold is granted, unless the van was faster: then its handover is on record.
            HANDOVER if !state.is_done(CANCEL_ORDER) => "the parcel left before it was held, and is on record as handed over: resolve as done, and take it back as a return",
            _ => step.suggestion,
        }
        .to_owned()
    }

    fn paused_until(&self, saga_id: Uuid, step: &'static str) -> Option<DateTime<Utc>> {
        self.participants.guards.paused_until((saga_id, step))
    }
}
