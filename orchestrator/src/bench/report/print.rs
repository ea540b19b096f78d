//! How a result is told: a table for people, one JSON line for programs, and rows for the README.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};

use super::Report;
use crate::bench::figures::Percentiles;

impl Report {
    /// One line of JSON, or a table. What the README's tables hold comes beside it, as rows of them.
    pub(in crate::bench) fn print(&self, json: bool) -> io::Result<()> {
        super::super::note(&self.rows().join("\n"))?;
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            return writeln!(out);
        }
        writeln!(out, "{}", self.table())
    }

    /// Markdown: first the bench itself, then each further figure with its bound.
    pub(super) fn rows(&self) -> Vec<String> {
        let missing = || "-".to_owned();
        let p99 = |side: Option<Percentiles>| {
            side.map_or_else(missing, |it| format!("{} ms", short(it.p99)))
        };
        let cpu = |us: Option<f64>| us.map_or_else(missing, |us| format!("{} us", short(us)));
        let name = format!("`{}`", self.bench);
        let mut rows = vec![format!(
            "| {name} | {} | {} {} | {} | {} | {} | {} | {} |",
            short(self.ratio),
            short(self.figure),
            self.unit,
            short(self.baseline),
            p99(self.latency_ms),
            p99(self.baseline_latency_ms),
            cpu(self.postgres_cpu_us_per_event),
            cpu(self.baseline_postgres_cpu_us_per_event),
        )];
        rows.extend(self.notes.iter().map(|note| {
            let value = note.told(|value| format!("{} {}", short(value), note.unit));
            format!("| {name} | {} | {value} | |", note.name)
        }));
        rows.extend(self.musts.iter().map(|must| {
            let (value, missed) = (short(must.value), if must.met { "" } else { " MISSED" });
            format!(
                "| {name} | {} | {value} | {}{missed} |",
                must.name, must.bound
            )
        }));
        rows
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
                note.told(|value| format!("{value:.2}")),
                String::new(),
                note.unit,
            );
        }
        for must in &self.musts {
            row(
                must.name,
                format!("{:.3}", must.value),
                must.bound.to_string(),
                if must.met { "met" } else { "MISSED" },
            );
        }
        for column in table.column_iter_mut().skip(1).take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// As many digits as mean something.
pub(super) fn short(value: f64) -> String {
    if !(100.0..1e15).contains(&value) {
        let digits = match value {
            _ if value >= 10.0 => 1,
            _ if value >= 1.0 => 2,
            _ => 3,
        };
        return format!("{value:.digits$}");
    }
    let digits = format!("{value:.0}");
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(",")
}
