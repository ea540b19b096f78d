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

/// A refund is two requests one after the other: the payment is looked for first.
const REQUESTS_OF_A_REFUND: u32 = 2;

/// A look at a parcel is up to three: the tracker, whom it tells from now on, the carrier.
const REQUESTS_OF_A_LOOK: u32 = 3;

/// The guards. Parcels are followed at another place than they are ordered at, which may be away alone. Refunds, of which there may be many
/// at once, do not decide whether orders are taken; nor do workers of somebody else's, whether others' messages are sent.
pub struct Guards {
    payments: Guard,
    refunds: Guard,
    carrier: Guard,
    tracking: Guard,
    kakao: Guard,
    /// Of the steps that are not their provider's.
    external: Vec<Guard>,
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
    /// Closed guards, payments' under this policy, the others' under one like it: `steps` is how many calls of one step are in flight, and
    /// where there are few, few failures have to say that a provider is away, as so many calls that hang are all that a window sees; and
    /// what is several requests may take as many times as long. `external`: steps that workers of somebody else's execute.
    #[must_use]
    pub fn new(
        policy: &Policy,
        steps: usize,
        external: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let few = |requests| Policy {
            min_calls: policy.min_calls.min(steps.max(SAY_LITTLE)),
            slow_call: policy.slow_call.saturating_mul(requests),
            ..policy.clone()
        };
        let guard = |name| Guard::new(name, &few(1));
        Self {
            payments: Guard::new("payment", policy),
            refunds: Guard::new("refund", &few(REQUESTS_OF_A_REFUND)),
            carrier: guard("carrier"),
            tracking: Guard::new("tracking", &few(REQUESTS_OF_A_LOOK)),
            kakao: guard("kakao"),
            external: external.into_iter().map(guard).collect(),
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
        let providers = [
            &self.payments,
            &self.refunds,
            &self.carrier,
            &self.tracking,
            &self.kakao,
        ];
        let all = providers.into_iter().chain(&self.external);
        all.map(|guard| (guard.name(), guard.reading()))
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
        let external = self.external.iter().find(|guard| guard.name() == step);
        if external.is_some() {
            return external;
        }
        match step {
            PAY => Some(&self.payments),
            REFUND | LATE_CHARGE | RETURN_CHARGE => Some(&self.refunds),
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

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: usize = 8;

    fn guards(external: &[&'static str]) -> Guards {
        Guards::new(&Policy::default(), STEPS, external.iter().copied())
    }

    fn behind(guards: &Guards, step: &str) -> &'static str {
        guards.of(step).map_or("nobody", Guard::name)
    }

    /// As often as it takes to say that somebody is away.
    async fn fails(guards: &Guards, step: &'static str) {
        for _ in 0..STEPS {
            let guard = guards.of(step).expect("a guard");
            let call = guard.call((Uuid::now_v7(), step), |healthy| *healthy, async { false });
            assert_eq!(call.await.ok(), Some(false));
        }
    }

    fn is_left_alone(guards: &Guards, step: &'static str) -> bool {
        guards.paused_until((Uuid::now_v7(), step)).is_some()
    }

    #[tokio::test]
    async fn refunds_that_fail_keep_no_order_from_being_paid() {
        let guards = guards(&[]);
        assert_eq!(behind(&guards, PAY), "payment");
        for step in [REFUND, LATE_CHARGE, RETURN_CHARGE] {
            assert_eq!(behind(&guards, step), "refund");
        }
        fails(&guards, REFUND).await;
        assert!(is_left_alone(&guards, REFUND) && !is_left_alone(&guards, PAY));
    }

    #[tokio::test]
    async fn a_worker_of_somebody_elses_that_is_away_keeps_no_other_message_from_being_sent() {
        let guards = guards(&[NOTIFY]);
        assert_eq!(behind(&guards, NOTIFY), NOTIFY);
        for step in [TELL, SEND] {
            assert_eq!(behind(&guards, step), "kakao");
        }
        fails(&guards, NOTIFY).await;
        assert!(is_left_alone(&guards, NOTIFY) && !is_left_alone(&guards, TELL));
    }
}
