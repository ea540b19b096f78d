//! The time during which something is this process's turn: a lease that is renewed until it is lost or given back.
//!
//! So leases are short, whatever their holders do: one that is killed keeps nobody waiting. One that was frozen for longer than its
//! lease finds that out when it wakes, before it takes another step: what it does in its turn ([`Tenure::hold`]) is measured
//! against a clock that goes on while a process stands still.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use eventstore::{EventStore, Lease, ReadError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
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
    /// When it ends unless it is renewed once more.
    until: watch::Receiver<Instant>,
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
        let asked = Instant::now();
        let Some(lease) = store.try_lease(name, owner, ttl).await? else {
            return Ok(None);
        };
        let (over, given_back) = (CancellationToken::new(), CancellationToken::new());
        let (until, ends) = watch::channel(asked + ttl);
        let renewing = Renewing {
            store: store.clone(),
            lease: lease.clone(),
            ttl,
            until,
            given_back: given_back.clone(),
        };
        Ok(Some(Tenure {
            store: store.clone(),
            lease,
            until: ends,
            over: over.clone(),
            given_back,
            renewing: tokio::spawn(renewing.run(over)),
        }))
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.is_cancelled() || *self.until.borrow() <= Instant::now()
    }

    /// Resolves when the lease is lost.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Does something while the lease is held, and no further step of it once it is lost; gives nothing then.
    pub(crate) fn hold<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        unless(self.over.cancelled(), move || self.is_over(), work)
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

/// Does something under a lease that ends at this moment and is not renewed meanwhile, and no further step of it then; gives
/// nothing in that case.
pub(crate) fn before<T>(
    end: Instant,
    work: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    unless(sleep_until(end), move || end <= Instant::now(), work)
}

/// Looks before each step of the work whether it is over. Timers and other tasks may be late when a process wakes: the answer that
/// the work waits for has perhaps long arrived.
fn unless<T>(
    over: impl Future<Output = ()>,
    is_over: impl Fn() -> bool,
    work: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    // Work may be large, and is moved from one future into the next here.
    let (mut over, mut work) = (Box::pin(over), Box::pin(work));
    poll_fn(move |context| {
        if is_over() || over.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
}

/// What the renewals need.
struct Renewing {
    store: EventStore,
    lease: Lease,
    ttl: Duration,
    until: watch::Sender<Instant>,
    given_back: CancellationToken,
}

impl Renewing {
    /// Renews until the lease is lost or given back, but never stops halfway through a renewal.
    async fn run(self, over: CancellationToken) {
        let _ended = over.drop_guard();
        let Renewing { store, lease, .. } = &self;
        loop {
            let until = *self.until.borrow();
            // An answer that came after the end of the lease has renewed nothing.
            let pause = sleep_until(until.min(Instant::now() + self.ttl / RENEWALS));
            let given_back = self.given_back.run_until_cancelled(pause).await.is_none();
            if given_back || until <= Instant::now() {
                return;
            }
            let asked = Instant::now();
            let renewal = store.try_lease(&lease.name, lease.owner, self.ttl);
            match timeout_at(until, renewal).await {
                // A new token: in between, the lease was somebody else's.
                Ok(Ok(Some(renewed))) if renewed.token == lease.token => {
                    self.until.send_replace(asked + self.ttl);
                }
                Ok(Err(error)) if Instant::now() < until => {
                    tracing::warn!(%error, lease = lease.name, "the lease was not renewed yet");
                }
                Ok(_) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use eventstore::testing::TestLog;
    use tokio::task::yield_now;

    use super::*;

    const TTL: Duration = Duration::from_secs(2);

    /// Keeps everything in this process from going on, as SIGSTOP does: there is one thread.
    fn freeze() {
        std::thread::sleep(TTL);
    }

    #[tokio::test]
    async fn what_is_done_in_a_turn_goes_no_further_when_a_freeze_outlasts_it() {
        let log = TestLog::sqlite();
        let store = log.open().await;
        let begun = Tenure::begin(&store, "turn", Uuid::now_v7(), TTL).await;
        let tenure = begun.expect("asked").expect("nobody else wants it");
        assert_eq!(tenure.hold(async { 7 }).await, Some(7));
        let steps = Cell::new(0);
        let work = async || {
            for _ in 0..2 {
                steps.set(steps.get() + 1);
                freeze();
                yield_now().await;
            }
        };
        assert_eq!(tenure.hold(work()).await, None);
        assert!(tenure.is_over());
        assert_eq!(steps.get(), 1);
        // The same under a lease that nobody renews.
        assert_eq!(before(Instant::now() + TTL, work()).await, None);
        assert_eq!(steps.get(), 2);
    }

    #[tokio::test]
    async fn a_turn_lasts_as_long_as_what_is_done_in_it() {
        let log = TestLog::sqlite();
        let store = log.open().await;
        let begun = Tenure::begin(&store, "turn", Uuid::now_v7(), TTL).await;
        let tenure = begun.expect("asked").expect("nobody else wants it");
        let long = sleep_until(Instant::now() + TTL * 2);
        assert_eq!(tenure.hold(long).await, Some(()));
        assert!(!tenure.is_over());
    }
}
