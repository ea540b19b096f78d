//! How a result is told: a table for people, one JSON line for programs.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
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
        }
    }

    /// One line of JSON, or a table.
    pub(super) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            return writeln!(out);
        }
        writeln!(out, "{}", self.table())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header([self.bench, "figure", "baseline", "unit"]);
        let mut row = |name: &str, figure: String, baseline: String, unit: &str| {
            table.add_row([name, &figure, &baseline, unit]);
        };
        row(
            "throughput",
            format!("{:.0}", self.figure),
            format!("{:.0}", self.baseline),
            self.unit,
        );
        let ratios: Vec<String> = self
            .pair_ratios
            .iter()
            .map(|ratio| format!("{ratio:.3}"))
            .collect();
        row(
            "ratio",
            format!("{:.3}", self.ratio),
            "1".to_owned(),
            &ratios.join(" "),
        );
        if let (Some(figure), Some(baseline)) = (&self.latency_ms, &self.baseline_latency_ms) {
            for ((name, ours), (_, theirs)) in figure.named().into_iter().zip(baseline.named()) {
                row(name, format!("{ours:.2}"), format!("{theirs:.2}"), "ms");
            }
        }
        if let (Some(ours), Some(theirs)) = (
            self.postgres_cpu_us_per_event,
            self.baseline_postgres_cpu_us_per_event,
        ) {
            row(
                "postgres cpu",
                format!("{ours:.1}"),
                format!("{theirs:.1}"),
                "us/event",
            );
        }
        for note in &self.notes {
            row(
                note.name,
                format!("{:.2}", note.value),
                String::new(),
                note.unit,
            );
        }
        for column in table.column_iter_mut().skip(1).take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::figures::Latencies;
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
