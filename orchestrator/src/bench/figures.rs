//! What a run measured.

use std::time::Duration;

use serde::Serialize;

/// Latencies of one kind of call, in microseconds.
#[derive(Debug, Default, Clone)]
pub(super) struct Latencies(Vec<u32>);

impl Latencies {
    pub(super) fn record(&mut self, latency: Duration) {
        self.0
            .push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that at least this share of the calls did not exceed.
        let rank = |per_mille: usize| {
            let at = (sorted.len() * per_mille).div_ceil(1000).saturating_sub(1);
            sorted
                .get(at)
                .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
        };
        Percentiles {
            p50: rank(500),
            p90: rank(900),
            p99: rank(990),
            p999: rank(999),
            max: rank(1000),
        }
    }
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Percentiles {
    pub(super) fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p999),
            ("max", self.max),
        ]
    }

    /// Percentile by percentile the median over several runs.
    pub(super) fn medians(runs: &[Self]) -> Self {
        let middle = |field: fn(&Self) -> f64| median(runs.iter().map(field).collect());
        Self {
            p50: middle(|it| it.p50),
            p90: middle(|it| it.p90),
            p99: middle(|it| it.p99),
            p999: middle(|it| it.p999),
            max: middle(|it| it.max),
        }
    }
}

/// One run: how much was done, in which time, at which cost to the database server.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) done: u64,
    /// How many events the database stored or read for it.
    pub(super) events: u64,
    pub(super) elapsed: Duration,
    pub(super) latencies: Latencies,
    /// CPU time of the whole server; nothing where the server's processes cannot be seen.
    pub(super) postgres_cpu: Option<Duration>,
}

impl Run {
    pub(super) fn per_second(&self) -> f64 {
        per(count(self.done), self.elapsed.as_secs_f64())
    }

    pub(super) fn cpu_us_per_event(&self) -> Option<f64> {
        self.postgres_cpu
            .map(|cpu| per(cpu.as_secs_f64() * 1e6, count(self.events)))
    }
}

/// Exact up to 2^53, far above anything a bench can count.
pub(super) fn count(value: u64) -> f64 {
    value as f64
}

/// Not a number where there is nothing to divide by: what was not measured keeps no bound.
pub(super) fn per(amount: f64, unit: f64) -> f64 {
    if unit > 0.0 { amount / unit } else { f64::NAN }
}

/// Not a number where there are no values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

/// A baseline and the figure measured right after it.
pub(super) struct Pair {
    pub(super) baseline: Run,
    pub(super) figure: Run,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        let latencies = Latencies((1..=1000).rev().map(|ms| ms * 1000).collect());
        let found = latencies.percentiles();
        assert_eq!(
            (found.p50, found.p99, found.p999, found.max),
            (500.0, 990.0, 999.0, 1000.0)
        );
    }

    #[test]
    fn nothing_measured_is_no_figure() {
        assert!(per(1.0, 0.0).is_nan());
        assert!(median(Vec::new()).is_nan());
        assert!(Latencies::default().percentiles().p99.is_nan());
    }
}
