//! What comparisons count: by kind, never by order.

use metrics::{counter, gauge};

use super::finding::{Kind, Safety};
use super::report::{Action, Report};

/// A comparison ended, with a report or without.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; counts and times stay far below 2^53"
)]
pub(super) fn ran(report: Option<&Report>) {
    let Some(report) = report else {
        counter!("bookmarket_reconcile_runs_total", "result" => "failed").increment(1);
        return;
    };
    let result = if report.unread.is_empty() {
        "compared"
    } else {
        "partly"
    };
    counter!("bookmarket_reconcile_runs_total", "result" => result).increment(1);
    gauge!("bookmarket_reconcile_last_run_timestamp_seconds")
        .set(report.finished_at.timestamp() as f64);
    for kind in Kind::ALL {
        for fix in [Safety::Automatic, Safety::OnRequest, Safety::Person] {
            gauge!("bookmarket_reconcile_findings", "kind" => kind.as_str(), "fix" => fix.as_str())
                .set(report.count(kind, fix) as f64);
        }
    }
}

/// Something was done about a finding.
pub(super) fn acted(action: &Action) {
    let action = match action {
        Action::None => "none",
        Action::Fixed => "fixed",
        Action::UnderWay => "under-way",
        Action::Parked => "parked",
        Action::Postponed => "postponed",
        Action::Failed(_) => "failed",
    };
    counter!("bookmarket_reconcile_actions_total", "action" => action).increment(1);
}
