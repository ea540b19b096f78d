//! The claim on the built-in providers. Their books are in the data directory of one process; another process on the same log, with
//! books of its own, would know nothing of what these have charged and refund or ship what is none of its own.

use std::time::Duration;

use eventstore::{EventStore, Location};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::StartError;
use crate::tenure::Tenure;

/// What the claim is called in the store.
const LEASE: &str = "built-in-providers";

/// A process that was killed keeps its successor waiting for so long.
const LEASE_TTL: Duration = Duration::from_secs(5);

/// Between two looks whether the claim is free, and between two tries while the store does not answer.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The claim, held.
pub(super) struct Claim {
    store: EventStore,
    owner: Uuid,
    tenure: Tenure,
}

impl Claim {
    /// Claims the built-in providers for this process, as soon as one that was killed cannot be using them any more. An embedded store
    /// has one process anyway.
    pub(super) async fn stake(store: &EventStore) -> Result<Option<Claim>, StartError> {
        if !matches!(store.location(), Location::Postgres { .. }) {
            return Ok(None);
        }
        let (owner, patience) = (Uuid::now_v7(), Instant::now() + LEASE_TTL + ASK_AGAIN);
        loop {
            let begun = Tenure::begin(store, LEASE, owner, LEASE_TTL).await;
            if let Some(tenure) = begun.map_err(StartError::Claim)? {
                let store = store.clone();
                return Ok(Some(Claim {
                    store,
                    owner,
                    tenure,
                }));
            }
            if Instant::now() > patience {
                return Err(StartError::Claimed);
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Holds it until it is told to stop; ends before only if another process has it, which a process that was frozen for long
    /// finds out when it wakes.
    pub(super) async fn hold(mut self, stop: CancellationToken) {
        loop {
            let lost = stop.run_until_cancelled(self.tenure.over()).await.is_some();
            if !lost {
                return self.tenure.end().await;
            }
            match Tenure::begin(&self.store, LEASE, self.owner, LEASE_TTL).await {
                Ok(Some(again)) => self.tenure = again,
                Ok(None) => {
                    tracing::error!("another process with built-in providers has taken over");
                    return;
                }
                // The store is away, for others as well.
                Err(_) => sleep(ASK_AGAIN).await,
            }
        }
    }
}
