//! What a bench has found: its figures beside the baseline's and the bounds that they have to keep. [`print`](mod@print) tells it.

mod print;

use serde::Serialize;

use super::figures::{Pair, Percentiles, Run, median, per};

/// The medians of one side of all pairs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    per_second: f64,
    latency_ms: Option<Percentiles>,
    postgres_cpu_us_per_event: Option<f64>,
}

impl Side {
    fn of<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Self {
        let percentiles: Vec<Percentiles> = runs
            .clone()
            .filter(|run| run.latencies.len() > 1)
            .map(|run| run.latencies.percentiles())
            .collect();
        let cpu: Vec<f64> = runs.clone().filter_map(Run::cpu_us_per_event).collect();
        Self {
            per_second: median(runs.map(Run::per_second).collect()),
            latency_ms: (!percentiles.is_empty()).then(|| Percentiles::medians(&percentiles)),
            postgres_cpu_us_per_event: (!cpu.is_empty()).then(|| median(cpu)),
        }
    }
}

/// A further figure of a bench, with what it means.
#[derive(Debug, Serialize)]
pub(super) struct Note {
    name: &'static str,
    value: f64,
    unit: &'static str,
}

impl Note {
    pub(super) fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit }
    }

    /// The value in words, unless there is none.
    fn told(&self, words: impl FnOnce(f64) -> String) -> String {
        match self.value.is_nan() {
            true => "not measured".to_owned(),
            false => words(self.value),
        }
    }
}

/// A bound that a figure has to keep on a quiet machine.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

/// A figure beside its bound.
#[derive(Debug, Serialize)]
struct Must {
    name: &'static str,
    value: f64,
    #[serde(flatten)]
    bound: Bound,
    met: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    bench: &'static str,
    unit: &'static str,
    figure: f64,
    baseline: f64,
    /// Median of the pairs' ratios.
    ratio: f64,
    pair_ratios: Vec<f64>,
    latency_ms: Option<Percentiles>,
    baseline_latency_ms: Option<Percentiles>,
    postgres_cpu_us_per_event: Option<f64>,
    baseline_postgres_cpu_us_per_event: Option<f64>,
    notes: Vec<Note>,
    musts: Vec<Must>,
}

impl Report {
    pub(super) fn new(
        bench: &'static str,
        unit: &'static str,
        pairs: &[Pair],
        notes: Vec<Note>,
    ) -> Self {
        let figure = Side::of(pairs.iter().map(|pair| &pair.figure));
        let baseline = Side::of(pairs.iter().map(|pair| &pair.baseline));
        let pair_ratios: Vec<f64> = pairs
            .iter()
            .map(|pair| per(pair.figure.per_second(), pair.baseline.per_second()))
            .collect();
        Self {
            bench,
            unit,
            figure: figure.per_second,
            baseline: baseline.per_second,
            ratio: median(pair_ratios.clone()),
            pair_ratios,
            latency_ms: figure.latency_ms,
            baseline_latency_ms: baseline.latency_ms,
            postgres_cpu_us_per_event: figure.postgres_cpu_us_per_event,
            baseline_postgres_cpu_us_per_event: baseline.postgres_cpu_us_per_event,
            notes,
            musts: Vec::new(),
        }
    }

    /// Adds a bound; a figure that could not be measured here is not held against one, and is said not to be.
    pub(super) fn must(
        mut self,
        name: &'static str,
        value: impl FnOnce(&Self) -> Option<f64>,
        bound: Bound,
    ) -> Self {
        match value(&self) {
            Some(value) => self.musts.push(Must {
                name,
                value,
                bound,
                met: bound.holds(value),
            }),
            None => self.notes.push(Note::new(name, f64::NAN, "")),
        }
        self
    }

    /// Median of the pairs' ratios.
    pub(super) fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Microseconds of Postgres CPU per event.
    pub(super) fn postgres_cpu(&self) -> Option<f64> {
        self.postgres_cpu_us_per_event
    }

    /// The figure's p99 as a multiple of the baseline's.
    pub(super) fn p99_ratio(&self) -> Option<f64> {
        let (ours, theirs) = (
            self.latency_ms.as_ref()?,
            self.baseline_latency_ms.as_ref()?,
        );
        Some(per(ours.p99, theirs.p99))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::figures::Latencies;
    use super::print::short;
    use super::*;

    fn run(done: u64, latencies_ms: &[u64]) -> Run {
        let mut latencies = Latencies::default();
        for ms in latencies_ms {
            latencies.record(Duration::from_millis(*ms));
        }
        Run {
            done,
            events: done,
            elapsed: Duration::from_secs(1),
            latencies,
            postgres_cpu: Some(Duration::from_micros(done * 20)),
        }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() {
        let pairs = [(100, 300), (200, 200), (400, 200)].map(|(baseline, figure)| Pair {
            baseline: run(baseline, &[1, 2]),
            figure: run(figure, &[1, 3]),
        });
        let report = Report::new("append", "events/s", &pairs, Vec::new());
        assert_eq!(
            (report.ratio, report.figure, report.baseline),
            (1.0, 200.0, 200.0)
        );
        assert_eq!(report.postgres_cpu_us_per_event, Some(20.0));
    }

    #[test]
    fn a_figure_that_misses_its_bound_is_said_to() {
        let pairs = [Pair {
            baseline: run(10, &[1, 2]),
            figure: run(20, &[1, 2]),
        }];
        let ratio = |report: &Report| Some(report.ratio());
        let report = Report::new("append", "events/s", &pairs, Vec::new())
            .must("kept", ratio, Bound::AtLeast(2.0))
            .must("missed", ratio, Bound::AtMost(1.9))
            .must("out of reach", |_| None, Bound::AtMost(0.0));
        let met: Vec<_> = report.musts.iter().map(|m| (m.name, m.met)).collect();
        assert_eq!(met, [("kept", true), ("missed", false)]);
        let line = serde_json::to_string(&report).expect("JSON");
        assert!(
            line.contains(r#"{"name":"missed","value":2.0,"atMost":1.9,"met":false}"#),
            "{line}"
        );
        let told = report.rows();
        let told = told
            .iter()
            .any(|row| row == "| `append` | out of reach | not measured | |");
        assert!(told, "what was not measured is said not to be");
    }

    #[test]
    fn a_figure_that_is_no_number_keeps_no_bound() {
        let pairs = [Pair {
            baseline: run(0, &[]),
            figure: run(20, &[1, 2]),
        }];
        let report = Report::new("append", "events/s", &pairs, Vec::new());
        for bound in [Bound::AtLeast(0.0), Bound::AtMost(f64::MAX)] {
            assert!(!bound.holds(report.ratio()), "{bound}");
        }
    }

    #[test]
    fn rows_for_a_table_hold_the_figures_and_say_what_missed_its_bound() {
        let pairs = [Pair {
            baseline: run(2_000, &[1, 8]),
            figure: run(47_654, &[1, 2]),
        }];
        let notes = vec![Note::new("open loop", 12.34, "orders/s")];
        let report = Report::new("append", "events/s", &pairs, notes)
            .must("ratio", |it| Some(it.ratio()), Bound::AtLeast(1.9))
            .must("tail", |_| Some(0.0764), Bound::AtMost(0.01));
        assert_eq!(
            report.rows(),
            [
                "| `append` | 23.8 | 47,654 events/s | 2,000 | 2.00 ms | 8.00 ms | 20.0 us | 20.0 us |",
                "| `append` | open loop | 12.3 orders/s | |",
                "| `append` | ratio | 23.8 | >= 1.9 |",
                "| `append` | tail | 0.076 | <= 0.01 MISSED |",
            ]
        );
        assert_eq!(short(1_234_567.0), "1,234,567");
        assert_eq!(short(100.0), "100");
    }

    #[test]
    fn the_json_form_is_one_line_with_the_promised_fields() {
        let pairs = [Pair {
            baseline: run(10, &[1, 2]),
            figure: run(20, &[1, 2]),
        }];
        let line = serde_json::to_string(&Report::new("append", "events/s", &pairs, Vec::new()))
            .expect("JSON");
        assert!(!line.contains('\n'));
        for field in [
            "\"figure\":20",
            "\"baseline\":10",
            "\"ratio\":2",
            "\"latencyMs\":{",
            "\"postgresCpuUsPerEvent\":20",
        ] {
            assert!(line.contains(field), "{field} in {line}");
        }
    }
}
