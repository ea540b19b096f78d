//! What stands between us and one provider: a circuit breaker, a bulkhead and a time limit.
//!
//! The three come from `tower-resilience`, stacked in [`stack`]; here is what it does not have: leave that is asked for
//! *before* a call is begun, kept until the call is made, and given back by itself when it never is.

mod sample;
mod stack;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use uuid::Uuid;

use stack::{GateError, Job, Passage, Stack};
use tower_resilience::bulkhead::BulkheadServiceError;
use tower_resilience::circuitbreaker::{CircuitBreakerError, CircuitState};

/// How long leave is kept for a caller that does not call. Between leave and call lies one append; whoever takes longer
/// asks again, and must not keep others from finding out whether the provider is back.
const LEAVE_KEPT: Duration = Duration::from_secs(2);

/// When to come again while the few calls that try the provider are under way: about as long as such a call takes.
const WHILE_TRYING: Duration = Duration::from_millis(500);

/// The longest that work which is not in a hurry stays away beyond what the breaker asks: everything is taken up again
/// within about this time after the provider is back.
const STAY_AWAY_MAX: Duration = Duration::from_secs(15);

/// When a provider counts as away, and how much of it is used at once.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Without it nobody is ever kept from calling.
    pub breaker: bool,
    /// A call that takes this long is slow.
    pub slow_call: Duration,
    /// How far back calls are looked at.
    pub window: Duration,
    /// Fewer calls than this in the window say nothing.
    pub min_calls: usize,
    /// Opens at this share of failures, in percent.
    pub failing_percent: u8,
    /// Opens at this share of slow calls, in percent.
    pub slow_percent: u8,
    /// How long nobody is let through.
    pub open_for: Duration,
    /// How many are let through after that, and how many of them must go well and fast.
    pub probes: usize,
    /// Calls in flight at once.
    pub concurrency: usize,
    /// How long a call may take before it is cut.
    pub time_limit: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            breaker: true,
            slow_call: Duration::from_millis(610),
            window: Duration::from_secs(10),
            min_calls: 20,
            failing_percent: 50,
            slow_percent: 50,
            open_for: Duration::from_secs(5),
            probes: 3,
            concurrency: 256,
            time_limit: Duration::from_millis(4500),
        }
    }
}

/// What the breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// A few, to see whether the provider is back.
    HalfOpen,
}

/// How a guard is, for metrics and people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the breaker lets through.
    pub position: Position,
    /// While it is open: until a few may try.
    pub opens_in: Option<Duration>,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that may be in flight.
    pub concurrency: usize,
}

/// Who wants to call: a saga, and for which of its steps.
pub type Caller = (Uuid, &'static str);

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// The breaker is open; nothing was sent.
    #[error("the provider is away and is left alone for a while")]
    Away,
    /// Too many calls were in flight; nothing was sent.
    #[error("too many calls to the provider are in flight")]
    Full,
    /// It took too long; it may have been sent.
    #[error("no answer within the time limit")]
    TimedOut,
}

/// The guard of one provider.
pub struct Guard {
    name: &'static str,
    stack: Stack,
    places: Mutex<HashMap<Caller, Place>>,
}

/// Leave to call that was given and not used yet: a call that has passed breaker and bulkhead and waits for what it is to
/// do. Dropping it gives both back.
struct Place {
    given: Instant,
    hand: oneshot::Sender<Job>,
    passage: Passage,
}

impl Guard {
    /// A closed guard; `name` is the provider's in metrics and log lines.
    #[must_use]
    pub fn new(name: &'static str, policy: &Policy) -> Self {
        Self {
            name,
            stack: Stack::new(name, policy),
            places: Mutex::default(),
        }
    }

    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Leave to call soon, or how long to wait before asking again. While it is tried whether the provider is back this
    /// keeps one of the few places for the caller, until it calls, or until [`Guard::forget`], or for a short while. Asking
    /// twice takes one place.
    pub fn ask(&self, caller: Caller) -> Result<(), Duration> {
        match self.stack.position() {
            Position::Closed => return Ok(()),
            Position::Open => {
                if let Some(left) = self.stack.opens_in() {
                    return Err(left);
                }
            }
            Position::HalfOpen => {}
        }
        let kept = |places: &mut MutexGuard<'_, HashMap<Caller, Place>>| {
            places.retain(|_, place| place.given.elapsed() < LEAVE_KEPT);
            places.contains_key(&caller)
        };
        if kept(&mut self.places()) {
            return Ok(());
        }
        // Never waits: whoever finds the lock taken or the bulkhead full comes again.
        let place = self.enter().now_or_never().flatten().ok_or(WHILE_TRYING)?;
        self.places().insert(caller, place);
        Ok(())
    }

    /// The caller will not call.
    pub fn forget(&self, caller: Caller) {
        self.places().remove(&caller);
    }

    /// How long work that is not in a hurry stays away: as long as the breaker says and, the longer the provider is away,
    /// the more beyond that, each its own length, so that not all the waiting sagas come back at every try.
    pub fn stay_away(&self, caller: Caller) -> Option<Duration> {
        let wait = self.ask(caller).err()?;
        let more = (self.stack.away_for() / 4).min(STAY_AWAY_MAX);
        Some(wait + more.mul_f64(fastrand::f64()))
    }

    /// Makes a call and learns from its answer, for which the caller knows whether it is a healthy one.
    pub async fn call<T: Send + 'static>(
        &self,
        caller: Caller,
        healthy: fn(&T) -> bool,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Cut> {
        let (answer, mut heard) = oneshot::channel();
        let work = async move {
            let given = work.await;
            let fine = healthy(&given);
            // Nobody hears an answer that came after the caller was gone.
            drop(answer.send(given));
            fine
        };
        let job = self.stack.job(work);
        let place = self.places().remove(&caller);
        let passed = match place {
            Some(place) => place.go(job).await,
            None => self.stack.pass(job).await,
        };
        let cut = match passed {
            Err(BulkheadServiceError::Bulkhead(_)) => Cut::Full,
            Err(BulkheadServiceError::Inner(CircuitBreakerError::OpenCircuit)) => Cut::Away,
            Ok(()) | Err(BulkheadServiceError::Inner(CircuitBreakerError::Inner(_))) => {
                // The last of the few may just have gone well.
                self.stack.close_if_proven().await;
                match heard.try_recv() {
                    Ok(answer) => return Ok(answer),
                    Err(_) => Cut::TimedOut,
                }
            }
        };
        self.stack.count_cut(cut);
        Err(cut)
    }

    /// How it is.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.stack.reading()
    }

    /// Passes breaker and bulkhead with a call that does not know yet what to do.
    async fn enter(&self) -> Option<Place> {
        let (hand, handed) = oneshot::channel::<Job>();
        let (inside, is_inside) = oneshot::channel();
        let waiting: Job = async move {
            // Nobody waits any more: then this is dropped, too.
            let _ = inside.send(());
            match handed.await {
                Ok(job) => job.await,
                Err(_) => Err(stack::Failed),
            }
        }
        .boxed();
        let mut passage = self.stack.pass(waiting);
        tokio::select! {
            biased;
            _ = &mut passage => None,
            Ok(()) = is_inside => Some(Place { given: Instant::now(), hand, passage }),
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Caller, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    async fn go(self, job: Job) -> Result<(), GateError> {
        let Self { hand, passage, .. } = self;
        // The other end is inside the passage and lives as long as it does.
        drop(hand.send(job));
        passage.await
    }
}

impl From<CircuitState> for Position {
    fn from(state: CircuitState) -> Self {
        match state {
            CircuitState::Closed => Self::Closed,
            CircuitState::Open => Self::Open,
            CircuitState::HalfOpen => Self::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests;
