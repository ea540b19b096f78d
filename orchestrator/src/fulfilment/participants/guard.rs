//! One breaker per provider: learns from every call, and tells the engine and the till when a provider is away.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::fulfilment::steps::*;
use crate::providers::breaker::{Breaker, Policy, Position};
use crate::saga::definition::Outcome;

/// The breakers.
#[derive(Debug)]
pub struct Guards {
    payments: Breaker,
    carrier: Breaker,
    kakao: Breaker,
}

impl Guards {
    /// Closed breakers, all under one policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let breaker = || Breaker::new(policy.clone());
        Self {
            payments: breaker(),
            carrier: breaker(),
            kakao: breaker(),
        }
    }

    /// Leave to take one more order; takes one of the few slots while it is tried whether the provider is back.
    pub fn admit_order(&self) -> Result<(), Duration> {
        self.payments.admit(Instant::now())
    }

    /// What each provider's breaker lets through, for metrics and people.
    pub fn positions(&self) -> [(&'static str, Position); 3] {
        [
            ("payment", self.payments.position()),
            ("carrier", self.carrier.position()),
            ("kakao", self.kakao.position()),
        ]
    }

    pub(in crate::fulfilment) fn learn(&self, step: &str, outcome: &Outcome) {
        let healthy = matches!(outcome, Outcome::Done(_) | Outcome::Refused { .. });
        if let Some(breaker) = self.of(step) {
            breaker.record(healthy, Instant::now());
        }
    }

    pub(in crate::fulfilment) fn paused_until(&self, step: &str) -> Option<DateTime<Utc>> {
        self.of(step)?
            .refuses(Instant::now())
            .map(|wait| Utc::now() + wait)
    }

    fn of(&self, step: &str) -> Option<&Breaker> {
        match step {
            PAY | REFUND => Some(&self.payments),
            SHIP | HOLD | CANCEL_DELIVERY => Some(&self.carrier),
            NOTIFY | TELL | SEND => Some(&self.kakao),
            _ => None,
        }
    }
}
