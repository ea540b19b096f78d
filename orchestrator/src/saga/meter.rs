//! What the engine counts: by saga and step, never by id.

use std::time::Duration;

use aggregates::saga::{AttemptResult, SagaEvent};
use metrics::{counter, gauge, histogram};

use super::finding::Finding;

pub(super) fn attempt(saga: &'static str, step: &'static str, finding: &Finding, took: Duration) {
    let outcome = match finding {
        Finding::Done(_) => "done",
        Finding::Refused { .. } => "refused",
        Finding::Absent { .. } => "absent",
        Finding::NotYet => "not-yet",
        Finding::Progress { .. } => "progress",
        Finding::Open {
            result: AttemptResult::Unknown,
            ..
        } => "unknown",
        Finding::Open {
            result: AttemptResult::Undecided,
            ..
        } => "undecided",
        Finding::Open {
            result: AttemptResult::Spent,
            ..
        } => "spent",
        Finding::Open {
            result: AttemptResult::NotSent,
            ..
        } => "not-sent",
        Finding::Open {
            result: AttemptResult::NotFound,
            ..
        } => "not-found",
    };
    counter!("saga_attempts_total", "saga" => saga, "step" => step, "outcome" => outcome)
        .increment(1);
    histogram!("saga_attempt_seconds", "saga" => saga, "step" => step).record(took.as_secs_f64());
}

pub(super) fn appended(saga: &'static str, events: &[SagaEvent]) {
    for event in events {
        match event {
            SagaEvent::SagaStarted(_) => {
                counter!("saga_started_total", "saga" => saga).increment(1)
            }
            SagaEvent::SagaCompleted(_) => {
                counter!("saga_finished_total", "saga" => saga, "end" => "completed").increment(1);
            }
            SagaEvent::SagaUnwound(_) => {
                counter!("saga_finished_total", "saga" => saga, "end" => "unwound").increment(1);
            }
            SagaEvent::StepParked(parked) => {
                let step = parked.step.clone();
                counter!("saga_parked_total", "saga" => saga, "step" => step).increment(1);
            }
            SagaEvent::StepDone(done) if done.late => {
                let step = done.step.clone();
                counter!("saga_late_effects_total", "saga" => saga, "step" => step).increment(1);
            }
            _ => {}
        }
    }
}

/// Counts a call as in flight for as long as it lives, however it ends.
pub(super) struct InFlight(&'static str, &'static str);

impl InFlight {
    pub(super) fn new(saga: &'static str, step: &'static str) -> Self {
        gauge!("saga_in_flight", "saga" => saga, "step" => step).increment(1);
        Self(saga, step)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!("saga_in_flight", "saga" => self.0, "step" => self.1).decrement(1);
    }
}

pub(super) fn live(sagas: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge of at most millions")]
    gauge!("saga_live").set(sagas as f64);
}

pub(super) fn conflict(saga: &'static str) {
    counter!("saga_append_conflicts_total", "saga" => saga).increment(1);
}

pub(super) fn append_retry(saga: &'static str) {
    counter!("saga_append_retries_total", "saga" => saga).increment(1);
}

pub(super) fn panic(saga: &'static str) {
    counter!("saga_panics_total", "saga" => saga).increment(1);
}

pub(super) fn left_alone() {
    counter!("saga_left_alone_total").increment(1);
}

pub(super) fn unreadable() {
    counter!("saga_unreadable_total").increment(1);
}

/// What the sweeper found, by what it did about it.
pub(super) fn swept(way: &'static str) {
    counter!("saga_swept_total", "way" => way).increment(1);
}

pub(super) fn wedged(sagas: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge of at most thousands")]
    gauge!("saga_wedged").set(sagas as f64);
}
