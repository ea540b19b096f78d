//! What one append is going to say: an outcome, the decisions that follow from it, and the attempts that begin now. Pure but for
//! the ids of events.

mod outcome;

use std::time::Duration;

use aggregates::saga::{
    CancelRefused, CauseKind, Polled, SagaCompleted, SagaEvent, SagaRested, SagaUnwound, State,
    StepDone, StepParked, StepRefused, StepStarted, UnwindStarted, encode,
};
use chrono::{DateTime, Utc};
use eventstore::{Expected, NewEvent, StreamAppend, Version};
use serde_json::Value;
use uuid::Uuid;

use super::definition::{RecordError, Saga, Transition};
use super::plan::{Begin, Decision, Mode, OVERDUE, Plan, is_silent, plan, span};
use super::start::{Start, key};
use super::step::{CLOCK_ALLOWANCE, StepSpec, worn};
use super::view::{SCHEMA_VERSION, Snapshot};
use crate::lineage;

/// What a person can do about a step that nobody answers. Whoever did it another way while it is still tried would have it done twice.
const SILENT: &str = "nobody has answered for days, and it is tried all the same: ask its participant what keeps it, and if it is to be done another \
    way, resolve the step first";

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

    /// Something was to begin and does not here. Others find it by the time at which the saga is due, and a wait that the same events
    /// begin would hide it from them until that is over: what is waited for is looked at now.
    pub fn leave_to_others(&mut self) {
        let (ids, events) = (
            std::mem::take(&mut self.ids),
            std::mem::take(&mut self.events),
        );
        self.state = State::clone(&self.from.state);
        for (id, mut event) in ids.into_iter().zip(events) {
            if let SagaEvent::Polled(wait) = &mut event {
                wait.next_at = self.at;
            }
            self.push(id, event);
        }
    }

    /// The one after which it is given up comes when its time is over. Where there is no such time, or nobody could be asked then,
    /// they come less and less often.
    fn next_look(&self, spec: &StepSpec, looks: u32) -> SagaEvent {
        let first_at = self.state.step(spec.name).map(|step| step.first_at);
        let first_at = first_at.unwrap_or(self.at);
        let pause = spec.retry.pause(looks);
        let worn = pause.max(worn(self.at - first_at));
        let over_at = spec.given_up_at(first_at);
        let next_at = match over_at.filter(|over_at| self.at < *over_at) {
            Some(over_at) => over_at.min(self.at + self.jittered(pause)),
            None => self.at + self.jittered(worn),
        };
        Polled {
            step: spec.name.to_owned(),
            next_at,
            at: self.at,
        }
        .into()
    }

    fn jittered(&self, pause: Duration) -> chrono::Duration {
        span(pause.mul_f64(0.5 + self.jitter / 2.0))
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
        let spec = self.saga.definition().step(step);
        let silent = code == OVERDUE && self.state.step(step).is_some_and(is_silent);
        let suggestion = match spec {
            Some(_) if silent => SILENT.to_owned(),
            Some(spec) => self.saga.suggestion(spec, &self.state),
            None => String::new(),
        };
        StepParked {
            step: step.to_owned(),
            code,
            reason,
            at_stake: self.saga.at_stake(&self.state, &self.from.history),
            suggestion,
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
    pub fn streams(&self, domain: Vec<StreamAppend>) -> Vec<StreamAppend> {
        let metadata = lineage::metadata(self.from.id);
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
            metadata: metadata.clone(),
        });
        let own = StreamAppend {
            stream: self.from.stream(),
            expected,
            events: events.collect(),
        };
        let mut streams = domain;
        streams.push(own);
        self.from.lineage.trace_back(&mut streams);
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
