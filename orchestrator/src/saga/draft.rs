//! What one append is going to say: an outcome, the decisions that follow from it, and the attempts that begin now. Pure but for
//! the ids of events.

use aggregates::saga::{
    AttemptEnded, AttemptResult, CancelRefused, CauseKind, Phase, Polled, SagaCompleted, SagaEvent,
    SagaRested, SagaUnwound, Standing, State, StepDone, StepParked, StepRefused, StepStarted,
    UnwindStarted, encode,
};
use chrono::{DateTime, Utc};
use eventstore::{Expected, NewEvent, StreamAppend, Version};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::definition::{RecordError, Saga, Transition};
use super::finding::{Ended, Finding};
use super::plan::{Begin, Decision, Mode, Plan, plan, span};
use super::start::{Start, key};
use super::step::{CLOCK_ALLOWANCE, Kind, RetryPolicy, StepSpec};
use super::view::{SCHEMA_VERSION, Snapshot};

/// Who an engine's own decisions are made by.
pub const SYSTEM: &str = "system";

/// The code of a step whose domain events could not be made.
pub const RECORD_FAILED: &str = "record-failed";

/// An append in the making.
pub struct Draft<'a> {
    saga: &'a dyn Saga,
    from: &'a Snapshot,
    jitter: f64,
    /// When all of it happens.
    pub at: DateTime<Utc>,
    /// The saga after it.
    pub state: State,
    /// What it says.
    pub events: Vec<SagaEvent>,
    ids: Vec<Uuid>,
}

impl<'a> Draft<'a> {
    /// An append after what is known. `jitter` is drawn by the caller, between 0 and 1: pauses are between half and all of what the
    /// step's policy says, so that sagas that failed together do not come back together.
    pub fn new(saga: &'a dyn Saga, from: &'a Snapshot, at: DateTime<Utc>, jitter: f64) -> Self {
        let state = State::clone(&from.state);
        Self {
            saga,
            from,
            jitter,
            at,
            state,
            events: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Adds an event under this id. The fold is the judge of our own events too: one that it refuses is a bug, and the task that
    /// made it starts again from the log.
    pub fn push(&mut self, id: Uuid, event: SagaEvent) {
        let state = std::mem::take(&mut self.state);
        self.state = state
            .evolve(&event)
            .expect("the plan writes only what can follow");
        self.ids.push(id);
        self.events.push(event);
    }

    /// Adds what an attempt came to, as late if the saga has moved on; never drops an effect or a refusal.
    pub fn outcome(&mut self, ended: &Ended) {
        let Some(spec) = self.saga.definition().step(ended.step) else {
            return;
        };
        let event = match &ended.finding {
            Finding::Done(output) => self.done(spec, ended, output),
            // A refusal under a key is about the key; without keys it is about one call, and says nothing of another's.
            Finding::Refused { .. } if !spec.keyed && self.doubted(ended) => {
                let reason = "it was refused, but may have been accepted from someone else";
                self.ended(spec, ended, AttemptResult::NotFound, reason)
            }
            Finding::Refused { code, reason } => self.refused(spec, ended, code, reason),
            Finding::Absent { code } => self.absent(spec, ended, code),
            Finding::Open { result, reason } => self.ended(spec, ended, *result, reason),
            Finding::NotYet => self.looked(spec),
        };
        if let Some(event) = event {
            self.push(ended.event_id, event);
        }
    }

    fn done(&self, spec: &StepSpec, ended: &Ended, output: &Value) -> Option<SagaEvent> {
        if spec.kind == Kind::Await && self.state.is_done(spec.name) {
            return None;
        }
        let late = self.is_late(ended) || (spec.kind == Kind::Await && self.state.unwind.is_some());
        let output = output.clone();
        Some(
            StepDone {
                step: spec.name.to_owned(),
                attempt: ended.attempt,
                output,
                late,
                at: self.at,
            }
            .into(),
        )
    }

    fn refused(
        &self,
        spec: &StepSpec,
        ended: &Ended,
        code: &str,
        reason: &str,
    ) -> Option<SagaEvent> {
        let late = self.is_late(ended);
        if late && spec.kind == Kind::Await {
            return None;
        }
        let event = StepRefused {
            step: spec.name.to_owned(),
            attempt: ended.attempt,
            code: code.to_owned(),
            reason: reason.to_owned(),
            late,
            at: self.at,
        };
        Some(event.into())
    }

    /// A sign of an earlier effect came during this attempt.
    fn doubted(&self, ended: &Ended) -> bool {
        let step = self.state.step(ended.step);
        step.is_some_and(|step| step.doubted == ended.attempt)
    }

    /// What is not found is refused, unless a sign of an effect came while it was looked for.
    fn absent(&self, spec: &StepSpec, ended: &Ended, code: &str) -> Option<SagaEvent> {
        let reason = "the participant does not know it, and it can no longer be sent";
        let doubted = self
            .state
            .step(ended.step)
            .is_some_and(|step| step.doubted == ended.attempt);
        if doubted {
            return self.ended(
                spec,
                ended,
                AttemptResult::NotFound,
                "it may have been sent meanwhile",
            );
        }
        self.refused(spec, ended, code, reason)
    }

    /// An end that decides nothing matters to the attempt that is open, and to a step that was closed as if this attempt had had no
    /// effect, when it may have had one.
    fn ended(
        &self,
        spec: &StepSpec,
        ended: &Ended,
        result: AttemptResult,
        reason: &str,
    ) -> Option<SagaEvent> {
        let step = self.state.step(ended.step)?;
        let open = step.is_running() && step.attempt == ended.attempt;
        let doubt =
            ended.sent && result == AttemptResult::Unknown && self.state.phase != Phase::Completed;
        let looked_for =
            step.is_running() && step.attempt > ended.attempt && (step.asking || !spec.keyed);
        let late = doubt && (step.can_reopen() || looked_for);
        let event = AttemptEnded {
            step: ended.step.to_owned(),
            attempt: ended.attempt,
            result,
            reason: reason.to_owned(),
            next_at: self.at + self.jittered(&spec.retry, ended.attempt),
            late,
            at: self.at,
        };
        (open || late).then(|| event.into())
    }

    /// A look in vain is worth writing down only when it was due.
    fn looked(&self, spec: &StepSpec) -> Option<SagaEvent> {
        let step = self.state.step(spec.name)?;
        let Standing::Polling { next_at } = step.standing else {
            return None;
        };
        (next_at <= self.at).then(|| self.next_look(spec, step.polls + 2))
    }

    /// After a step that was taken up again, hints about what came of it may have been lost meanwhile: then at once.
    fn first_look(&self, spec: &StepSpec) -> SagaEvent {
        if self.state.steps.iter().all(|step| step.attempt <= 1) {
            return self.next_look(spec, 1);
        }
        Polled {
            step: spec.name.to_owned(),
            next_at: self.at,
            at: self.at,
        }
        .into()
    }

    fn next_look(&self, spec: &StepSpec, looks: u32) -> SagaEvent {
        let next_at = self.at + self.jittered(&spec.retry, looks);
        Polled {
            step: spec.name.to_owned(),
            next_at,
            at: self.at,
        }
        .into()
    }

    fn jittered(&self, policy: &RetryPolicy, attempts: u32) -> chrono::Duration {
        span(policy.pause(attempts).mul_f64(0.5 + self.jitter / 2.0))
    }

    fn is_late(&self, ended: &Ended) -> bool {
        let moved_on =
            |step: &aggregates::saga::Step| step.is_settled() || step.attempt > ended.attempt;
        self.state.is_finished() || self.state.step(ended.step).is_some_and(moved_on)
    }

    /// Writes down everything that needs nothing but writing down; what is left is to be begun, looked at or waited for.
    pub fn settle(&mut self) -> Plan {
        loop {
            let mut plan = plan(self.saga, &self.state, self.at);
            let Some(decision) = plan.decision.take() else {
                return plan;
            };
            let event = self.decided(decision);
            self.push(Uuid::now_v7(), event);
        }
    }

    fn decided(&self, decision: Decision) -> SagaEvent {
        let at = self.at;
        let attempt = |step: &str| self.state.step(step).map_or(0, |step| step.attempt);
        match decision {
            Decision::Unwind(cause) => {
                let asked = self
                    .state
                    .cancel
                    .as_ref()
                    .filter(|_| cause.kind == CauseKind::Cancel);
                let actor = asked.map_or(SYSTEM, |cancel| &cancel.actor).to_owned();
                UnwindStarted { cause, actor, at }.into()
            }
            Decision::RefuseCancel { code, reason } => CancelRefused { code, reason, at }.into(),
            Decision::Refuse { step, code, reason } => StepRefused {
                step: step.to_owned(),
                attempt: attempt(step),
                code: code.to_owned(),
                reason: reason.to_owned(),
                late: false,
                at,
            }
            .into(),
            Decision::Local { step } => StepDone {
                step: step.to_owned(),
                attempt: attempt(step) + 1,
                output: Value::Null,
                late: false,
                at,
            }
            .into(),
            Decision::FirstLook { step } => match self.saga.definition().step(step) {
                Some(spec) => self.first_look(spec),
                None => SagaRested { at }.into(),
            },
            Decision::Park { step, code, reason } => self.parked(step, code, reason).into(),
            Decision::Rest => SagaRested { at }.into(),
            Decision::Complete => SagaCompleted { at }.into(),
            Decision::Unwound => SagaUnwound { at }.into(),
        }
    }

    fn parked(&self, step: &str, code: String, reason: String) -> StepParked {
        let suggestion = self
            .saga
            .definition()
            .step(step)
            .map_or("", |spec| spec.suggestion);
        StepParked {
            step: step.to_owned(),
            code,
            reason,
            at_stake: self.saga.at_stake(&self.from.history),
            suggestion: suggestion.to_owned(),
            at: self.at,
        }
    }

    /// Adds the start of an attempt that this engine makes now.
    pub fn begin(&mut self, spec: &StepSpec, begin: Begin, owner: Uuid) -> Start {
        let sends = matches!(begin.mode, Mode::Execute | Mode::ProbeThenExecute);
        let mut send_by = self.at + span(spec.time_limit);
        if let Some((after, _)) = spec.execute_until.filter(|_| sends) {
            send_by = send_by.min(self.state.started_at + span(after));
        }
        let round = self.state.step(spec.name).map_or(0, |step| step.round);
        let start = Start {
            event_id: Uuid::now_v7(),
            begin,
            key: key(self.from.id, spec.name, round),
            send_by,
        };
        let event = StepStarted {
            step: spec.name.to_owned(),
            attempt: begin.attempt,
            key: start.key.clone(),
            owner,
            deadline: send_by + span(CLOCK_ALLOWANCE),
            branch: begin.branch,
            asks: !sends,
            at: self.at,
        };
        self.push(start.event_id, event.into());
        start
    }

    /// The domain events cannot be stored: keeps what happened without them and leaves the step it is about to a person.
    pub fn spoil(&mut self, reason: &str) {
        for event in &mut self.events {
            if let SagaEvent::StepDone(done) = event {
                done.output = Value::Null;
            }
        }
        let step = self.events.iter().rev().find_map(|event| match event {
            SagaEvent::StepDone(done) => Some(done.step.clone()),
            SagaEvent::StepRefused(refused) => Some(refused.step.clone()),
            _ => None,
        });
        let step = step.or_else(|| self.next_step()).unwrap_or_default();
        let parked = self.parked(&step, RECORD_FAILED.to_owned(), reason.to_owned());
        self.push(Uuid::now_v7(), parked.into());
    }

    /// The step that the plan is about, or else the one the saga hangs on.
    fn next_step(&self) -> Option<String> {
        let plan = plan(self.saga, &self.state, self.at);
        let next = match plan.decision {
            Some(
                Decision::Refuse { step, .. }
                | Decision::Local { step }
                | Decision::FirstLook { step }
                | Decision::Park { step, .. },
            ) => Some(step),
            _ => plan.begin.first().map(|begin| begin.step),
        };
        let current = || self.state.current().map(|step| step.name.clone());
        next.map(str::to_owned).or_else(current)
    }

    /// The streams of the append: domain events first, the saga's own last.
    pub fn streams(&self, domain: Vec<StreamAppend>, metadata: &RawValue) -> Vec<StreamAppend> {
        let expected = match self.from.version {
            Version::ZERO => Expected::NoStream,
            version => Expected::At(version),
        };
        let events = self.ids.iter().zip(&self.events);
        let events = events.map(|(id, event)| NewEvent {
            event_id: *id,
            event_type: event.event_type().into(),
            schema_version: SCHEMA_VERSION,
            data: encode(event).expect("saga events are plain JSON"),
            metadata: metadata.to_owned(),
        });
        let own = StreamAppend {
            stream: self.from.stream(),
            expected,
            events: events.collect(),
        };
        let mut streams = domain;
        streams.push(own);
        streams
    }

    /// The saga's domain events for all this.
    pub fn record(&self) -> Result<Vec<StreamAppend>, RecordError> {
        let transition = Transition {
            saga_id: self.from.id,
            before: &self.from.state,
            after: &self.state,
            events: &self.events,
            at: self.at,
        };
        self.saga.record(&self.from.history, &transition)
    }
}
