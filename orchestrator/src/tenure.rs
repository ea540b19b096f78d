//! The time during which something is this process's turn: a lease that is renewed until it is lost or given back.
//!
//! So leases are short, whatever their holders do: one that is killed keeps nobody waiting.

use std::time::Duration;

use eventstore::{EventStore, Lease, ReadError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Renewals in the time of a lease: one that fails is no loss yet.
const RENEWALS: u32 = 4;

/// How long giving back waits for a renewal that is on its way. It would be taken for one of a holder that is still there if it
/// came after.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// A lease that is held. Dropping it stops the renewals; it ends by itself then.
pub(crate) struct Tenure {
    store: EventStore,
    lease: Lease,
    over: CancellationToken,
    given_back: CancellationToken,
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
        let (over, given_back) = (CancellationToken::new(), CancellationToken::new());
        let renewing = Renewing {
            store: store.clone(),
            lease: lease.clone(),
            ttl,
            given_back: given_back.clone(),
        };
        Ok(Some(Tenure {
            store: store.clone(),
            lease,
            over: over.clone(),
            given_back,
            renewing: tokio::spawn(renewing.run(until, over)),
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
    pub(crate) async fn end(mut self) {
        self.given_back.cancel();
        // If it takes longer, the lease ends by itself.
        let _ = timeout(ON_ITS_WAY, &mut self.renewing).await;
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

/// What the renewals need.
struct Renewing {
    store: EventStore,
    lease: Lease,
    ttl: Duration,
    given_back: CancellationToken,
}

impl Renewing {
    /// Renews until the lease is lost or given back, but never stops halfway through a renewal.
    async fn run(self, mut until: Instant, over: CancellationToken) {
        let _ended = over.drop_guard();
        let Renewing { store, lease, .. } = &self;
        loop {
            let pause = sleep(self.ttl / RENEWALS);
            if self.given_back.run_until_cancelled(pause).await.is_none() {
                return;
            }
            let asked = Instant::now();
            let renewal = store.try_lease(&lease.name, lease.owner, self.ttl);
            match timeout_at(until, renewal).await {
                // A new token: in between, the lease was somebody else's.
                Ok(Ok(Some(renewed))) if renewed.token == lease.token => until = asked + self.ttl,
                Ok(Err(error)) if Instant::now() < until => {
                    tracing::warn!(%error, lease = lease.name, "the lease was not renewed yet");
                }
                Ok(_) | Err(_) => return,
            }
        }
    }
}
