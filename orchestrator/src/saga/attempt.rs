//! One attempt at a step: asks, executes or voids within its time, and never takes silence for a failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aggregates::saga::AttemptResult;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::clock::Clock;
use super::definition::{Call, Outcome, Probe, Saga};
use super::finding::{Ended, Finding};
use super::meter;
use super::observer::{Observer, Point};
use super::plan::{GAVE_UP, Mode, NOT_IN_TIME};

/// What is to be done about a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Attempt(Mode),
    Look,
}

/// A piece of work under way; holds its permit to the end.
pub(super) struct Job {
    pub(super) saga: Arc<dyn Saga>,
    pub(super) call: Call,
    pub(super) work: Work,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// Given back when the job ends, however it ends.
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) sent: AtomicBool,
}

impl Job {
    pub(super) async fn run(self) -> Ended {
        let since = Instant::now();
        let _in_flight = meter::InFlight::new(self.saga.name(), self.call.step);
        let finding = self.within_time().await;
        meter::attempt(self.saga.name(), self.call.step, &finding, since.elapsed());
        Ended {
            step: self.call.step,
            attempt: self.call.attempt,
            finding,
            sent: self.sent.into_inner(),
            event_id: Uuid::now_v7(),
        }
    }

    /// A call that is cut off, or whose participant panics, may have had its effect.
    async fn within_time(&self) -> Finding {
        if self.late() {
            return too_late();
        }
        let call = AssertUnwindSafe(self.find()).catch_unwind();
        tokio::select! {
            biased;
            finding = call => finding.unwrap_or_else(|_| {
                meter::panic(self.saga.name());
                unknown("the participant's adapter panicked".to_owned())
            }),
            () = self.clock.sleep_until(self.call.deadline) => match self.work {
                Work::Look => Finding::NotYet,
                Work::Attempt(_) => unknown("no answer in time".to_owned()),
            },
        }
    }

    async fn find(&self) -> Finding {
        match self.work {
            Work::Look => self.look().await,
            Work::Attempt(Mode::Execute) => self.execute().await,
            Work::Attempt(Mode::ProbeThenExecute) => match self.saga.probe(&self.call).await {
                Probe::NotFound if self.late() => too_late(),
                Probe::NotFound => self.execute().await,
                Probe::Unknown { .. } if self.is_keyed() && !self.late() => self.execute().await,
                answer => found(answer),
            },
            Work::Attempt(Mode::Probe(code)) => match (self.saga.probe(&self.call).await, code) {
                (Probe::NotFound, Some(code)) => Finding::Absent { code },
                (answer, _) => found(answer),
            },
            Work::Attempt(Mode::Void) => found(self.saga.void(&self.call).await),
        }
    }

    /// Looks at a step that only waits. What is not there when its time is over will not come any more, but only an answer says
    /// that it is not there, and only one to a question of later than that.
    async fn look(&self) -> Finding {
        let began = self.clock.now();
        let last = self.given_up_at().is_some_and(|at| at <= began);
        match self.saga.probe(&self.call).await {
            Probe::Done(output) => Finding::Done(output),
            Probe::Refused { code, reason } => Finding::Refused { code, reason },
            Probe::Progress { signal, data } => Finding::Progress { signal, data },
            Probe::NotFound | Probe::Undecided { .. } if last => Finding::Refused {
                code: GAVE_UP.to_owned(),
                reason: NOT_IN_TIME.to_owned(),
            },
            Probe::NotFound | Probe::Undecided { .. } | Probe::Unknown { .. } => Finding::NotYet,
        }
    }

    fn given_up_at(&self) -> Option<DateTime<Utc>> {
        let spec = self.saga.definition().step(self.call.step)?;
        spec.given_up_at(self.call.state.step(self.call.step)?.first_at)
    }

    async fn execute(&self) -> Finding {
        let (step, attempt) = (self.call.step, self.call.attempt);
        self.observe(Point::Executing { step, attempt }).await;
        self.sent.store(true, Ordering::Relaxed);
        let outcome = self.saga.execute(&self.call).await;
        self.observe(Point::Executed { step, attempt }).await;
        match outcome {
            Outcome::Done(output) => Finding::Done(output),
            Outcome::Refused { code, reason } => Finding::Refused { code, reason },
            Outcome::Unknown { reason } => unknown(reason),
            Outcome::Undecided { reason } => undecided(reason),
            Outcome::Spent { reason } => Finding::Open {
                result: AttemptResult::Spent,
                reason,
            },
            Outcome::NotSent { reason } => Finding::Open {
                result: AttemptResult::NotSent,
                reason,
            },
        }
    }

    fn is_keyed(&self) -> bool {
        let spec = self.saga.definition().step(self.call.step);
        spec.is_some_and(|spec| spec.keyed)
    }

    async fn observe(&self, point: Point) {
        if let Some(observer) = &self.observer {
            observer.reached(self.call.saga_id, point).await;
        }
    }

    fn late(&self) -> bool {
        self.clock.now() >= self.call.deadline
    }
}

fn found(answer: Probe) -> Finding {
    match answer {
        Probe::Done(output) => Finding::Done(output),
        Probe::Refused { code, reason } => Finding::Refused { code, reason },
        Probe::NotFound | Probe::Progress { .. } => Finding::Open {
            result: AttemptResult::NotFound,
            reason: "the participant does not know it yet".to_owned(),
        },
        Probe::Undecided { reason } => undecided(reason),
        Probe::Unknown { reason } => unknown(reason),
    }
}

fn undecided(reason: String) -> Finding {
    Finding::Open {
        result: AttemptResult::Undecided,
        reason,
    }
}

fn unknown(reason: String) -> Finding {
    Finding::Open {
        result: AttemptResult::Unknown,
        reason,
    }
}

fn too_late() -> Finding {
    Finding::Open {
        result: AttemptResult::NotSent,
        reason: "its time was over before it was sent".to_owned(),
    }
}
