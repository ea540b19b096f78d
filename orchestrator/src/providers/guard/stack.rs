//! The three layers of `tower-resilience`, in the order bulkhead, breaker, time limit, and what they need beside them.
//!
//! The bulkhead is outermost: that it is full is our own doing and must not count against the provider, and waiting for
//! it must not make a call look slow.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::counter;
use tower::util::ServiceFn;
use tower::{Layer, ServiceExt, service_fn};
use tower_resilience::bulkhead::{Bulkhead, BulkheadHandle, BulkheadLayer, BulkheadServiceError};
use tower_resilience::circuitbreaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerHandle, CircuitBreakerLayer, CircuitState,
    DefaultClassifier, SlidingWindowType,
};
use tower_resilience::timelimiter::{
    FixedTimeout, TimeLimiter, TimeLimiterError, TimeLimiterLayer,
};

use super::sample::Sample;
use super::{Cut, Policy, Position, Reading};

/// How long a call waits for a free place in the bulkhead. Each step has a limit of its own, so it is full only for the
/// moment in which several kinds of calls meet; more would eat into the time of the call.
const BULKHEAD_WAIT: Duration = Duration::from_millis(250);

/// Says that a call did not go well. What it said instead goes past the layers, which know no answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed;

/// A call as the layers see it.
pub(super) type Job = BoxFuture<'static, Result<(), Failed>>;

/// Why a call did not pass.
pub(super) type GateError = BulkheadServiceError<CircuitBreakerError<Failed>>;

/// A call on its way through the layers.
pub(super) type Passage = BoxFuture<'static, Result<(), GateError>>;

type Run = ServiceFn<fn(Job) -> Job>;
type Gate = Bulkhead<CircuitBreaker<Run, DefaultClassifier>>;

/// The layers of one provider.
pub(super) struct Stack {
    name: &'static str,
    slow_call: Duration,
    open_for: Duration,
    probes: usize,
    gate: Gate,
    beside: Bulkhead<Run>,
    /// None where there is no breaker.
    sample: Option<Sample>,
    limit: TimeLimiter<Run, FixedTimeout>,
    breaker: CircuitBreakerHandle,
    bulkhead: BulkheadHandle,
    course: Arc<Course>,
}

/// What happened to the breaker.
#[derive(Default)]
struct Course {
    /// When it last opened.
    opened: Mutex<Option<Instant>>,
    /// Since when it is not closed.
    away: Mutex<Option<Instant>>,
    /// Calls that went well since it is half open.
    proven: AtomicUsize,
}

impl Stack {
    pub(super) fn new(name: &'static str, policy: &Policy) -> Self {
        let course = Arc::<Course>::default();
        let (breaker_layer, breaker) = breaker(name, policy, Arc::clone(&course));
        let (bulkhead_layer, bulkhead) = BulkheadLayer::builder()
            .max_concurrent_calls(policy.concurrency.max(1))
            .max_wait_duration(BULKHEAD_WAIT)
            .build_with_handle()
            .expect("there is at least one place");
        let run: Run = service_fn(|job: Job| job);
        let time_limit = TimeLimiterLayer::builder().timeout_duration(policy.time_limit);
        Self {
            name,
            slow_call: policy.slow_call,
            open_for: policy.open_for,
            probes: policy.probes.max(1),
            gate: bulkhead_layer.layer(breaker_layer.layer(run)),
            beside: bulkhead_layer.layer(run),
            sample: policy
                .breaker
                .then(|| Sample::of(policy.window, policy.min_calls)),
            limit: time_limit.build().layer(run),
            breaker,
            bulkhead,
            course,
        }
    }

    /// Sends a call through the bulkhead and, if it is one that is looked at, past the breaker.
    pub(super) fn pass(&self, job: Job) -> Passage {
        let looked_at = |sample: &Sample| self.position() != Position::Closed || sample.takes();
        if self.sample.as_ref().is_some_and(looked_at) {
            return self.gate.clone().oneshot(job).boxed();
        }
        let passage = self.beside.clone().oneshot(job).boxed();
        passage.map(|passed| passed.map_err(beside)).boxed()
    }

    /// A call within the time limit, measured. `work` says whether its answer was a healthy one.
    pub(super) fn job(&self, work: impl Future<Output = bool> + Send + 'static) -> Job {
        let work: Job = async move { if work.await { Ok(()) } else { Err(Failed) } }.boxed();
        let limited = self.limit.clone().oneshot(work).boxed();
        let (name, slow_call) = (self.name, self.slow_call);
        let (breaker, course) = (self.breaker.clone(), Arc::clone(&self.course));
        async move {
            let since = Instant::now();
            let result = limited.await;
            let slow = since.elapsed() >= slow_call;
            count_call(name, &result, slow);
            if breaker.state() == CircuitState::HalfOpen {
                // The breaker would close on a slow answer, and open again after as many slow ones as it takes.
                if slow {
                    return Err(Failed);
                }
                if result.is_ok() {
                    course.proven.fetch_add(1, Ordering::Relaxed);
                }
            }
            result.map_err(|_| Failed)
        }
        .boxed()
    }

    /// Closes the breaker when as many calls as it takes went well. It would do so itself, but forgets a success that is
    /// older than its window, whose place it gives to nobody else: with few calls it would stay half open for ever.
    pub(super) async fn close_if_proven(&self) {
        if self.breaker.state() == CircuitState::HalfOpen
            && self.course.proven.load(Ordering::Relaxed) >= self.probes
        {
            self.breaker.force_closed().await;
        }
    }

    pub(super) fn position(&self) -> Position {
        self.breaker.state().into()
    }

    /// While it is open and nobody may try: until somebody may.
    pub(super) fn opens_in(&self) -> Option<Duration> {
        let opened = (*lock(&self.course.opened))?;
        let left = self.open_for.saturating_sub(opened.elapsed());
        (!left.is_zero()).then_some(left)
    }

    /// How long the provider has been away.
    pub(super) fn away_for(&self) -> Duration {
        lock(&self.course.away).map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(super) fn reading(&self) -> Reading {
        let position = self.position();
        Reading {
            position,
            opens_in: (position == Position::Open).then(|| self.opens_in().unwrap_or_default()),
            in_flight: self.bulkhead.active_calls(),
            concurrency: self.bulkhead.max_concurrent(),
        }
    }

    /// Counts a call that was not made. One that was cut off was made and is counted with its fellows.
    pub(super) fn count_cut(&self, cut: Cut) {
        let outcome = match cut {
            Cut::Away => "away",
            Cut::Full => "full",
            Cut::TimedOut => return,
        };
        counter!("bookmarket_provider_calls_total", "provider" => self.name, "outcome" => outcome)
            .increment(1);
    }
}

fn breaker(
    name: &'static str,
    policy: &Policy,
    course: Arc<Course>,
) -> (CircuitBreakerLayer, CircuitBreakerHandle) {
    let share = |percent: u8| f64::from(percent.clamp(1, 100)) / 100.0;
    CircuitBreakerLayer::builder()
        // Its window by count never forgets: after a good day it takes an outage as long to open.
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(policy.window)
        .minimum_number_of_calls(policy.min_calls)
        .failure_rate_threshold(share(policy.failing_percent))
        .slow_call_duration_threshold(policy.slow_call)
        .slow_call_rate_threshold(share(policy.slow_percent))
        .wait_duration_in_open(policy.open_for)
        .permitted_calls_in_half_open(policy.probes.max(1))
        .on_state_transition(move |from, to| course.moved(name, from, to))
        .build_with_handle()
        .expect("a window has a length and a share is a share")
}

fn beside(error: BulkheadServiceError<Failed>) -> GateError {
    match error {
        BulkheadServiceError::Bulkhead(full) => BulkheadServiceError::Bulkhead(full),
        BulkheadServiceError::Inner(failed) => {
            BulkheadServiceError::Inner(CircuitBreakerError::Inner(failed))
        }
    }
}

impl Course {
    fn moved(&self, name: &'static str, from: CircuitState, to: CircuitState) {
        let now = Instant::now();
        let word = match to {
            CircuitState::Closed => {
                *lock(&self.away) = None;
                tracing::info!(provider = name, "the provider is back");
                "closed"
            }
            CircuitState::Open => {
                *lock(&self.opened) = Some(now);
                lock(&self.away).get_or_insert(now);
                if from == CircuitState::Closed {
                    tracing::warn!(
                        provider = name,
                        "the provider is away: it is left alone for a while"
                    );
                }
                "open"
            }
            CircuitState::HalfOpen => {
                self.proven.store(0, Ordering::Relaxed);
                "half-open"
            }
        };
        counter!("bookmarket_provider_breaker_moves_total", "provider" => name, "to" => word)
            .increment(1);
    }
}

fn count_call(name: &'static str, result: &Result<(), TimeLimiterError<Failed>>, slow: bool) {
    let outcome = match result {
        Ok(()) => "answered",
        Err(TimeLimiterError::Inner(_)) => "failed",
        Err(TimeLimiterError::Timeout) => "timed-out",
    };
    counter!("bookmarket_provider_calls_total", "provider" => name, "outcome" => outcome)
        .increment(1);
    if slow {
        counter!("bookmarket_provider_slow_calls_total", "provider" => name).increment(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Stack {
    /// Opens it as a run of failures would.
    pub(super) async fn open(&self) {
        self.breaker.force_open().await;
    }
}
