//! A circuit breaker: when most of the latest calls to a provider failed, nobody asks it for a while, and then only a few
//! try whether it is back. A refusal is a healthy answer; only unknown and unsent calls count as failures.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When to open and when to try again.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How many of the latest calls are looked at.
    pub window: usize,
    /// Fewer calls than this say nothing.
    pub min_calls: usize,
    /// Opens at this share of failures, in percent.
    pub failing_percent: usize,
    /// Calls older than this are forgotten: yesterday's outage is no reason to refuse a customer.
    pub memory: Duration,
    /// How long nobody is let through.
    pub open_for: Duration,
    /// How many may try at once afterwards.
    pub probes: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            window: 50,
            min_calls: 20,
            failing_percent: 60,
            memory: Duration::from_secs(30),
            open_for: Duration::from_secs(5),
            probes: 3,
        }
    }
}

/// What the breaker lets through, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// A few, to see whether the provider is back.
    HalfOpen,
}

#[derive(Debug)]
enum State {
    Closed { latest: VecDeque<(Instant, bool)> },
    Open { until: Instant },
    HalfOpen { admitted: usize, since: Instant },
}

/// The breaker of one provider.
#[derive(Debug)]
pub struct Breaker {
    policy: Policy,
    state: Mutex<State>,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            state: Mutex::new(State::Closed {
                latest: VecDeque::new(),
            }),
        }
    }

    /// Asks for leave to call; in the half-open position it takes one of the few slots.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.lock();
        match &mut *state {
            State::Closed { .. } => Ok(()),
            State::Open { until } if now < *until => Err(*until - now),
            State::Open { .. } => {
                *state = State::HalfOpen {
                    admitted: 1,
                    since: now,
                };
                Ok(())
            }
            State::HalfOpen { admitted, .. } if *admitted < self.policy.probes => {
                *admitted += 1;
                Ok(())
            }
            // A caller that was let through and never reported (it crashed, it was declined earlier) must not keep its
            // slot for ever.
            State::HalfOpen { admitted, since } if now >= *since + self.policy.open_for => {
                (*admitted, *since) = (1, now);
                Ok(())
            }
            State::HalfOpen { .. } => Err(self.policy.open_for),
        }
    }

    /// Whether [`Breaker::admit`] would refuse, without taking a slot.
    pub fn refuses(&self, now: Instant) -> Option<Duration> {
        match *self.lock() {
            State::Open { until } if now < until => Some(until - now),
            _ => None,
        }
    }

    /// Learns how a call ended.
    pub fn record(&self, healthy: bool, now: Instant) {
        let mut state = self.lock();
        match &mut *state {
            State::Closed { latest } => {
                latest.push_back((now, healthy));
                while latest.len() > self.policy.window
                    || latest
                        .front()
                        .is_some_and(|(at, _)| *at + self.policy.memory < now)
                {
                    latest.pop_front();
                }
                let failed = latest.iter().filter(|(_, healthy)| !healthy).count();
                if latest.len() >= self.policy.min_calls
                    && failed * 100 >= latest.len() * self.policy.failing_percent
                {
                    *state = State::Open {
                        until: now + self.policy.open_for,
                    };
                }
            }
            // Answers of calls from before it opened say nothing new.
            State::Open { .. } => {}
            State::HalfOpen { .. } => {
                *state = if healthy {
                    State::Closed {
                        latest: VecDeque::new(),
                    }
                } else {
                    State::Open {
                        until: now + self.policy.open_for,
                    }
                };
            }
        }
    }

    /// For metrics and people.
    pub fn position(&self) -> Position {
        match *self.lock() {
            State::Closed { .. } => Position::Closed,
            State::Open { .. } => Position::Open,
            State::HalfOpen { .. } => Position::HalfOpen,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Policy {
            window: 4,
            min_calls: 4,
            probes: 1,
            ..Policy::default()
        })
    }

    #[test]
    fn it_opens_when_most_of_the_latest_calls_failed() {
        let (breaker, now) = (breaker(), Instant::now());
        for healthy in [true, false, false] {
            breaker.record(healthy, now);
        }
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.record(false, now);
        assert_eq!(breaker.admit(now), Err(Duration::from_secs(5)));
    }

    #[test]
    fn it_lets_one_try_after_a_while_and_closes_when_that_went_well() {
        let (breaker, now) = (breaker(), Instant::now());
        (0..4).for_each(|_| breaker.record(false, now));
        let later = now + Duration::from_secs(5);
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err());
        breaker.record(true, later);
        assert_eq!(breaker.position(), Position::Closed);
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[test]
    fn it_opens_again_when_the_try_failed() {
        let (breaker, now) = (breaker(), Instant::now());
        (0..4).for_each(|_| breaker.record(false, now));
        let later = now + Duration::from_secs(5);
        breaker.admit(later).unwrap();
        breaker.record(false, later);
        assert!(breaker.admit(later).is_err());
    }

    #[test]
    fn a_lost_try_does_not_keep_its_slot() {
        let (breaker, now) = (breaker(), Instant::now());
        (0..4).for_each(|_| breaker.record(false, now));
        let later = now + Duration::from_secs(5);
        breaker.admit(later).unwrap();
        assert_eq!(breaker.admit(later + Duration::from_secs(5)), Ok(()));
    }

    #[test]
    fn failures_of_long_ago_are_forgotten() {
        let (breaker, now) = (breaker(), Instant::now());
        (0..3).for_each(|_| breaker.record(false, now));
        breaker.record(false, now + Duration::from_secs(31));
        assert_eq!(breaker.position(), Position::Closed);
    }
}
