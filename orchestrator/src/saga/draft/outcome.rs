//! What an attempt came to, as the log takes it: as late where the saga has moved on, and never dropped.

use aggregates::saga::{
    AttemptEnded, AttemptResult, Phase, SagaEvent, SignalReceived, Standing, Step, StepDone,
    StepRefused,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::Draft;
use crate::saga::finding::{Ended, Finding};
use crate::saga::plan::trying_since;
use crate::saga::step::{Kind, StepSpec, worn};

impl Draft<'_> {
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
            Finding::Progress { signal, data } => return self.progress(spec, ended, signal, data),
        };
        if let Some(event) = event {
            self.push(ended.event_id, event);
        }
    }

    /// News of a step that waits. A signal hurries everything that waits; this step was just looked at.
    fn progress(&mut self, spec: &StepSpec, ended: &Ended, signal: &str, data: &Value) {
        let waits = self
            .state
            .step(spec.name)
            .filter(|step| matches!(step.standing, Standing::Polling { .. }))
            .map(|step| step.polls);
        let Some(polls) = waits.filter(|_| !self.state.is_finished()) else {
            return;
        };
        let news = SignalReceived {
            signal: signal.to_owned(),
            data: data.clone(),
            at: self.at,
        };
        self.push(ended.event_id, news.into());
        self.push(Uuid::now_v7(), self.next_look(spec, polls + 2));
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
        // On the way back nobody waits any more for what lay ahead; what it would have been may still be seen.
        let ahead = self.saga.definition().forward.iter();
        let passed =
            self.state.unwind.is_some() && ahead.map(|it| it.name).any(|it| it == spec.name);
        if (late || passed) && spec.kind == Kind::Await {
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
        let vague = matches!(result, AttemptResult::Unknown | AttemptResult::Undecided);
        let doubt = ended.sent && vague && self.state.phase != Phase::Completed;
        let looked_for =
            step.is_running() && step.attempt > ended.attempt && (step.asking || !spec.keyed);
        let late = doubt && (step.can_reopen() || looked_for);
        let event = AttemptEnded {
            step: ended.step.to_owned(),
            attempt: ended.attempt,
            result,
            reason: reason.to_owned(),
            next_at: self.next_attempt(spec, step, ended.attempt, result),
            late,
            at: self.at,
        };
        (open || late).then(|| event.into())
    }

    /// When the next attempt may begin: the later, the longer it has been tried. One under another key has to wait until nobody who was given this one can send it any
    /// more; where no earlier attempt is in doubt, nobody can.
    fn next_attempt(
        &self,
        spec: &StepSpec,
        step: &Step,
        attempt: u32,
        result: AttemptResult,
    ) -> DateTime<Utc> {
        let tried_for = self.at - trying_since(&self.state, step);
        let pause = spec.retry.pause(attempt).max(worn(tried_for));
        let paused = self.at + self.jittered(pause);
        let open_until = step.open_until.filter(|_| step.in_doubt);
        match (result, open_until) {
            (AttemptResult::Spent, Some(until)) => paused.max(until),
            _ => paused,
        }
    }

    /// A look in vain is worth writing down only when it was due.
    fn looked(&self, spec: &StepSpec) -> Option<SagaEvent> {
        let step = self.state.step(spec.name)?;
        let Standing::Polling { next_at } = step.standing else {
            return None;
        };
        (next_at <= self.at).then(|| self.next_look(spec, step.polls + 2))
    }

    fn is_late(&self, ended: &Ended) -> bool {
        let moved_on = |step: &Step| step.is_settled() || step.attempt > ended.attempt;
        self.state.is_finished() || self.state.step(ended.step).is_some_and(moved_on)
    }
}
