//! One guard per provider: learns from every call, and tells the engine and the till when a provider is away.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::fulfilment::steps::*;
use crate::providers::guard::{Caller, Cut, Guard, Policy, Reading};
use crate::saga::definition::{Call, Outcome, Probe};

/// Calls of which one or two that fail say nothing yet.
const SAY_LITTLE: usize = 4;

/// The guards. Parcels are followed at another place than they are ordered at, which may be away alone.
pub struct Guards {
    payments: Guard,
    carrier: Guard,
    tracking: Guard,
    kakao: Guard,
}

/// What a call came to, and whether the provider did its work, whatever it decided.
pub(in crate::fulfilment) struct Heard {
    pub(in crate::fulfilment) outcome: Outcome,
    pub(in crate::fulfilment) healthy: bool,
}

impl Heard {
    fn is_healthy(&self) -> bool {
        self.healthy
    }
}

/// Leave to take one more order. Dropping it gives back the place that it may have kept.
pub(in crate::fulfilment) struct Leave {
    guards: Arc<Guards>,
    order_id: Uuid,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.guards.payments.forget((self.order_id, PAY));
    }
}

impl Guards {
    /// Closed guards, all under one policy. `steps`: calls of one step in flight. Where there are few, few failures have to say that a
    /// provider is away: so many calls that hang are all that a window sees.
    #[must_use]
    pub fn new(policy: &Policy, steps: usize) -> Self {
        let few = Policy {
            min_calls: policy.min_calls.min(steps.max(SAY_LITTLE)),
            ..policy.clone()
        };
        let guard = |name| Guard::new(name, &few);
        Self {
            payments: Guard::new("payment", policy),
            carrier: guard("carrier"),
            tracking: guard("tracking"),
            kakao: guard("kakao"),
        }
    }

    /// Leave to take one more order, asked before anything is stored; takes one of the few places while it is tried whether
    /// the provider is back.
    pub(in crate::fulfilment) fn admit_order(
        self: &Arc<Self>,
        order_id: Uuid,
    ) -> Result<Leave, Duration> {
        self.payments.ask((order_id, PAY))?;
        let guards = Arc::clone(self);
        Ok(Leave { guards, order_id })
    }

    /// How each guard is, for metrics and people.
    pub fn readings(&self) -> impl Iterator<Item = (&'static str, Reading)> {
        [&self.payments, &self.carrier, &self.tracking, &self.kakao]
            .into_iter()
            .map(|guard| (guard.name(), guard.reading()))
    }

    /// Has something done. Refused by the provider is an answer like any other; refused by the guard is surely not sent.
    pub(in crate::fulfilment) async fn execute(
        &self,
        call: &Call,
        work: impl Future<Output = Heard> + Send + 'static,
    ) -> Outcome {
        let Some(guard) = self.of(call.step) else {
            return work.await.outcome;
        };
        match guard.call(caller(call), Heard::is_healthy, work).await {
            Ok(heard) => heard.outcome,
            Err(cut @ (Cut::Away | Cut::Full)) => Outcome::NotSent {
                reason: cut.to_string(),
            },
            Err(cut @ Cut::TimedOut) => Outcome::Unknown {
                reason: cut.to_string(),
            },
        }
    }

    /// Asks what became of something.
    pub(in crate::fulfilment) async fn probe(
        &self,
        call: &Call,
        work: impl Future<Output = Probe> + Send + 'static,
    ) -> Probe {
        let Some(guard) = self.of(call.step) else {
            return work.await;
        };
        match guard.call(caller(call), is_told, work).await {
            Ok(probe) => probe,
            Err(cut) => Probe::Unknown {
                reason: cut.to_string(),
            },
        }
    }

    /// When this saga may try again, while the provider behind its step is away.
    pub(in crate::fulfilment) fn paused_until(&self, caller: Caller) -> Option<DateTime<Utc>> {
        let wait = self.of(caller.1)?.stay_away(caller)?;
        Some(Utc::now() + wait)
    }

    fn of(&self, step: &str) -> Option<&Guard> {
        match step {
            PAY | REFUND | LATE_CHARGE | RETURN_CHARGE => Some(&self.payments),
            SHIP | HOLD | CANCEL_DELIVERY => Some(&self.carrier),
            HANDOVER | TRACK => Some(&self.tracking),
            NOTIFY | TELL | SEND => Some(&self.kakao),
            _ => None,
        }
    }
}

fn caller(call: &Call) -> Caller {
    (call.saga_id, call.step)
}

fn is_told(probe: &Probe) -> bool {
    !matches!(probe, Probe::Unknown { .. })
}
