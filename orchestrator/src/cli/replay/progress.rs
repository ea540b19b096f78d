//! How far a rebuild is: a bar for people, lines of JSON for programs.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use projections::{Phase, RebuildProgress};
use serde_json::{Value, json};

use crate::cli::output;
use crate::config::Output;

/// Shortest time between two lines of the same phase.
const LINE_EVERY: Duration = Duration::from_millis(500);

/// A step of the progress, wherever it was made.
pub(super) struct Step {
    phase: String,
    position: i64,
    total: i64,
    per_second: f64,
    eta_seconds: Option<f64>,
}

impl From<RebuildProgress> for Step {
    fn from(now: RebuildProgress) -> Step {
        let phase = match now.phase {
            Phase::Reading => "reading",
            Phase::Indexing => "indexing",
            Phase::Comparing => "comparing",
            Phase::CatchingUp => "catchingUp",
        };
        Step {
            phase: phase.to_owned(),
            position: now.position.0,
            total: now.total.0,
            per_second: now.per_second,
            eta_seconds: now.eta_seconds,
        }
    }
}

impl Step {
    /// As a server tells it; nothing while it does not.
    pub(super) fn read(progress: &Value) -> Option<Step> {
        Some(Step {
            phase: progress["phase"].as_str()?.to_owned(),
            position: progress["position"].as_i64()?,
            total: progress["total"].as_i64()?,
            per_second: progress["perSecond"].as_f64()?,
            eta_seconds: progress["etaSeconds"].as_f64(),
        })
    }
}

/// Shows the steps of one view.
pub(super) struct Progress {
    view: &'static str,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines(Option<(Instant, String)>),
}

impl Progress {
    /// In the form that results are printed in.
    pub(super) fn of(view: &'static str, form: Output) -> Progress {
        let shown = match form {
            Output::Table => Shown::Bar(bar(view)),
            Output::Json => Shown::Lines(None),
        };
        Progress { view, shown }
    }

    pub(super) fn tell(&mut self, step: &Step) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                let is_first = bar.length() == Some(0);
                bar.set_length(u64::try_from(step.total).unwrap_or_default());
                bar.set_position(u64::try_from(step.position).unwrap_or_default());
                bar.set_message(words(&step.phase).to_owned());
                if is_first {
                    // What had been done before says nothing about how fast it goes now.
                    bar.reset_eta();
                }
            }
            Shown::Lines(last) => {
                let fresh = |(at, phase): &(Instant, String)| {
                    *phase != step.phase || at.elapsed() >= LINE_EVERY
                };
                if last.as_ref().is_none_or(fresh) {
                    *last = Some((Instant::now(), step.phase.clone()));
                    // A reader that has gone is noticed when the result is printed.
                    let _ = output::line(line(self.view, step).to_string());
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn line(view: &str, step: &Step) -> Value {
    json!({
        "type": "progress",
        "view": view,
        "phase": step.phase,
        "position": step.position,
        "total": step.total,
        "perSecond": step.per_second,
        "etaSeconds": step.eta_seconds,
    })
}

fn words(phase: &str) -> &str {
    match phase {
        "catchingUp" => "catching up",
        other => other,
    }
}

fn bar(view: &str) -> ProgressBar {
    let template = "{prefix:>8} {wide_bar} {pos}/{len} events  {per_sec}  {eta} left  {msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0)
        .with_style(style)
        .with_prefix(view.to_owned())
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;

    fn reading(position: i64) -> Step {
        Step {
            phase: String::from("reading"),
            position,
            total: 1_000_000,
            per_second: 0.0,
            eta_seconds: None,
        }
    }

    #[test]
    fn what_an_earlier_rebuild_had_read_does_not_count_as_the_pace_of_this_one() {
        let mut progress = Progress {
            view: "customer",
            shown: Shown::Bar(ProgressBar::with_draw_target(
                Some(0),
                ProgressDrawTarget::hidden(),
            )),
        };
        let Shown::Bar(bar) = &progress.shown else {
            unreachable!("just made")
        };
        let bar = bar.clone();
        progress.tell(&reading(900_000));
        assert!(bar.per_sec() < 1.0, "{}", bar.per_sec());
    }
}
