//! A provider denies a charge that is on our books, as it does when a bank takes a deposit back. It is asked about this one
//! charge, however old it is, until it confirms or refutes it; where it does neither, a person is asked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::sleep;
use uuid::Uuid;

use super::finding::{Finding, Kind};
use super::join::{self, Inside};
use super::verify::Look;
use super::{Known, Mode, Pace, Reconciler, job};
use crate::fulfilment::Fulfilment;

/// Orders in doubt at a time; a provider that denies more of them at once is looked into by people anyway.
const DOUBTS_MAX: usize = 256;

/// Each pause between two questions is this many times the one before.
const GROWTH: u32 = 4;

/// Questions before a person is asked.
const QUESTIONS: u32 = 5;

/// The orders whose charge is being asked about, so that a storm of webhooks asks once.
#[derive(Clone, Default)]
pub(in crate::fulfilment) struct Doubts(Arc<Mutex<HashSet<Uuid>>>);

impl Doubts {
    fn enter(&self, order: Uuid) -> bool {
        let mut doubts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.len() < DOUBTS_MAX && doubts.insert(order)
    }

    fn leave(&self, order: Uuid) {
        let mut doubts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.remove(&order);
    }
}

impl Fulfilment {
    /// Begins to ask about a charge that its provider denies.
    pub(in crate::fulfilment) fn doubt(&self, order: Uuid, charge_ref: &str) {
        if !self.doubts.enter(order) {
            return;
        }
        let (own, charge_ref) = (self.clone(), charge_ref.to_owned());
        self.engine.aside(async move {
            let reconciler = Reconciler::new(own.clone(), Pace::default());
            reconciler.ask_about(order, &charge_ref).await;
            own.doubts.leave(order);
        });
    }
}

impl Reconciler {
    async fn ask_about(&self, order: Uuid, charge_ref: &str) {
        let watch = self.fulfilment.limits.denied_charge_watch;
        // All pauses together are the watch.
        let mut pause = watch / ((GROWTH.pow(QUESTIONS - 1) - 1) / (GROWTH - 1));
        for question in 1..=QUESTIONS {
            // Read anew each time: the order goes on meanwhile.
            let Ok(Known::Is(Some(inside))) = self.inside(&order.to_string()).await else {
                return;
            };
            let Some(missing) = join::denied(&inside, charge_ref) else {
                return;
            };
            match self.second_look(missing.clone(), Some(&inside)).await {
                Look::Refuted => return,
                Look::Stands(finding) => return self.hand_over(*finding, &inside).await,
                Look::Open if question == QUESTIONS => {
                    return self.hand_over(unconfirmed(missing), &inside).await;
                }
                Look::Open => sleep(pause).await,
            }
            pause *= GROWTH;
        }
    }

    async fn hand_over(&self, finding: Finding, inside: &Inside) {
        let why = job::own_account("the provider denied the charge");
        self.act(finding, Some(inside), Mode::Automatic, &why).await;
    }
}

/// The provider said that no money moved, and does not take it back.
fn unconfirmed(missing: Finding) -> Finding {
    Finding {
        kind: Kind::StateMismatch,
        code: "charge-denied",
        provider: "no money moved, as it said; asked again it does not say".to_owned(),
        ..missing
    }
}
