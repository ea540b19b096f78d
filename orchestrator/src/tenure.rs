//! The time during which something is this process's turn: a lease that is renewed until it is lost or given back.
//!
//! So leases are short, whatever their holders do: one that is killed keeps nobody waiting.

use std::time::Duration;

use eventstore::{EventStore, Lease, ReadError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Renewals in the time of a lease: one that fails is no loss yet.
const RENEWALS: u32 = 4;

/// A lease that is held. Dropping it stops the renewals; it ends by itself then.
pub(crate) struct Tenure {
    store: EventStore,
    lease: Lease,
    over: CancellationToken,
    renewing: JoinHandle<()>,
}

impl Tenure {
    /// Takes the lease, unless somebody else has it.
    pub(crate) async fn begin(
        store: &EventStore,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Option<Tenure>, ReadError> {
        let until = Instant::now() + ttl;
        let Some(lease) = store.try_lease(name, owner, ttl).await? else {
            return Ok(None);
        };
        let over = CancellationToken::new();
        let renewing = renew(store.clone(), lease.clone(), ttl, until, over.clone());
        Ok(Some(Tenure {
            store: store.clone(),
            lease,
            over,
            renewing: tokio::spawn(renewing),
        }))
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Resolves when the lease is lost.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Gives the lease back, so that another process need not wait for its end.
    pub(crate) async fn end(self) {
        self.renewing.abort();
        if let Err(error) = self.store.release_lease(&self.lease).await {
            tracing::debug!(%error, lease = self.lease.name, "the lease ends by itself");
        }
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn renew(
    store: EventStore,
    lease: Lease,
    ttl: Duration,
    mut until: Instant,
    over: CancellationToken,
) {
    let _ended = over.drop_guard();
    loop {
        sleep(ttl / RENEWALS).await;
        let asked = Instant::now();
        match timeout_at(until, store.try_lease(&lease.name, lease.owner, ttl)).await {
            // A new token: in between, the lease was somebody else's.
            Ok(Ok(Some(renewed))) if renewed.token == lease.token => until = asked + ttl,
            Ok(Err(error)) if Instant::now() < until => {
                tracing::warn!(%error, lease = lease.name, "the lease was not renewed yet");
            }
            Ok(_) | Err(_) => return,
        }
    }
}
