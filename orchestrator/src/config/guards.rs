//! How much of a provider is used at once, and when it is left alone.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value::{percent, some_time};
use crate::providers::guard::Policy;

/// From the time limit of an adapter to the one around it, which only cuts an adapter that does not keep its own.
const BACKSTOP: Duration = Duration::from_millis(500);

/// Calls of one step in flight where work is shared. A process takes into its hands a few times as many sagas, which nobody else can
/// begin before it has: many of them would leave nothing for a worker that comes to help, and much to be found again after a crash.
const STEPS_SHARED: u16 = 8;

/// Calls of one step in flight where nobody else works.
const STEPS_ALONE: u16 = 256;

/// How much of a provider is used at once, and when it is left alone.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Guards of the providers")]
pub struct GuardSettings {
    /// How long one call of a provider may take
    #[arg(long, global = true, env = "BOOKMARKET_PROVIDER_TIMEOUT", value_name = "TIME", default_value = "4s", value_parser = some_time, hide_short_help = true)]
    pub provider_timeout: Duration,
    /// Calls of one provider in flight at once; refunds are counted apart
    #[arg(long, global = true, env = "BOOKMARKET_PROVIDER_CONCURRENCY", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..), hide_short_help = true)]
    pub provider_concurrency: u16,
    /// Calls of one step in flight at once, but for payments; no more than of a provider [default: 8 with --nats-url, so that workers share, else 256]
    #[arg(long, global = true, env = "BOOKMARKET_STEP_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u16).range(1..), hide_short_help = true)]
    pub step_concurrency: Option<u16>,
    /// Leave a provider alone while most of its calls fail or are slow; orders get 503 while the payment provider is
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER", value_enum, default_value_t = Switch::On, hide_short_help = true)]
    pub breaker: Switch,
    /// A call that takes this long is slow
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER_SLOW_CALL", value_name = "TIME", default_value = "610ms", value_parser = some_time, hide_short_help = true)]
    pub breaker_slow_call: Duration,
    /// How far back calls are looked at
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER_WINDOW", value_name = "TIME", default_value = "10s", value_parser = some_time, hide_short_help = true)]
    pub breaker_window: Duration,
    /// Fewer calls than this in the window say nothing; but for payments, --step-concurrency is enough
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER_MIN_CALLS", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000), hide_short_help = true)]
    pub breaker_min_calls: u32,
    /// Share of failing calls from which on a provider is left alone
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER_FAILING_PERCENT", value_name = "PERCENT", default_value = "50", value_parser = percent, hide_short_help = true)]
    pub breaker_failing_percent: u8,
    /// Share of slow calls from which on a provider is left alone
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER_SLOW_PERCENT", value_name = "PERCENT", default_value = "50", value_parser = percent, hide_short_help = true)]
    pub breaker_slow_percent: u8,
    /// How long a provider is left alone before a few calls try whether it is back
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER_OPEN_FOR", value_name = "TIME", default_value = "5s", value_parser = some_time, hide_short_help = true)]
    pub breaker_open_for: Duration,
    /// How many calls try it, all of which must go well and fast
    #[arg(long, global = true, env = "BOOKMARKET_BREAKER_PROBES", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000), hide_short_help = true)]
    pub breaker_probes: u16,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// In use.
    On,
    /// Not in use.
    Off,
}

impl GuardSettings {
    /// As the guards take it.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            breaker: self.breaker == Switch::On,
            slow_call: self.breaker_slow_call,
            window: self.breaker_window,
            min_calls: usize::try_from(self.breaker_min_calls).unwrap_or(usize::MAX),
            failing_percent: self.breaker_failing_percent,
            slow_percent: self.breaker_slow_percent,
            open_for: self.breaker_open_for,
            probes: usize::from(self.breaker_probes),
            concurrency: usize::from(self.provider_concurrency),
            time_limit: self.provider_timeout + BACKSTOP,
        }
    }

    /// Calls of one step in flight at once, for a process that shares its work with others or has all of it. No step alone has
    /// more than a provider takes: those beyond wait for their turn, where they would otherwise begin, be refused by the guard, and wait for
    /// a retry.
    #[must_use]
    pub fn step_concurrency(&self, shared: bool) -> usize {
        let usual = if shared { STEPS_SHARED } else { STEPS_ALONE };
        let steps = self.step_concurrency.unwrap_or(usual);
        usize::from(steps.min(self.provider_concurrency))
    }

    /// How long a step's call may take: what the guard allows, and the moments around it.
    #[must_use]
    pub fn call_limit(&self) -> Duration {
        self.provider_timeout + 2 * BACKSTOP
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        guards: GuardSettings,
    }

    #[test]
    fn a_process_that_shares_its_work_takes_less_of_it_at_once() {
        let guards = Command::parse_from(["serve"]).guards;
        assert!(guards.step_concurrency(true) < guards.step_concurrency(false));
    }

    #[test]
    fn no_more_calls_of_a_step_begin_than_its_provider_takes() {
        let guards = Command::parse_from(["serve", "--provider-concurrency=3"]).guards;
        assert_eq!(guards.step_concurrency(true), 3);
        assert_eq!(guards.step_concurrency(false), 3);
    }

    #[test]
    fn every_setting_reaches_the_guard_it_is_named_after() {
        // No two of them alike, so that none can take another one's place.
        let command = Command::parse_from([
            "serve",
            "--provider-timeout=1s",
            "--provider-concurrency=14",
            "--step-concurrency=11",
            "--breaker=off",
            "--breaker-slow-call=2s",
            "--breaker-window=3s",
            "--breaker-min-calls=12",
            "--breaker-failing-percent=41",
            "--breaker-slow-percent=42",
            "--breaker-open-for=4s",
            "--breaker-probes=13",
        ]);
        let policy = command.guards.policy();
        assert_eq!(policy.time_limit, Duration::from_secs(1) + BACKSTOP);
        assert_eq!(policy.concurrency, 14);
        for shared in [true, false] {
            assert_eq!(command.guards.step_concurrency(shared), 11);
        }
        assert!(!policy.breaker);
        assert_eq!(policy.slow_call, Duration::from_secs(2));
        assert_eq!(policy.window, Duration::from_secs(3));
        assert_eq!(policy.min_calls, 12);
        assert_eq!(policy.failing_percent, 41);
        assert_eq!(policy.slow_percent, 42);
        assert_eq!(policy.open_for, Duration::from_secs(4));
        assert_eq!(policy.probes, 13);
    }
}
