//! Which of the steps that only wait are looked at.

use std::sync::Arc;

use aggregates::saga::{Phase, Standing};

use super::{Task, Work};
use crate::saga::plan::span;
use crate::saga::start::key;
use crate::saga::step::{Kind, StepSpec};

impl Task {
    /// Looks at steps that only wait: those that are due, and those somebody hinted at, in whatever phase the saga is.
    pub(super) fn look(&mut self, due: &[&'static str]) {
        let saga = Arc::clone(&self.saga);
        let mut hinted = std::mem::take(&mut self.hinted);
        let waiting = || {
            let steps = saga.definition().steps();
            steps.filter(|spec| spec.kind == Kind::Await)
        };
        // Without what comes before it, a hint waits for that, and no longer than that is looked at.
        let early = std::mem::take(&mut self.early);
        for spec in waiting().filter(|spec| early.iter().any(|step| step == spec.name)) {
            if self.may_look(spec) {
                hinted.push(spec.name.to_owned());
                continue;
            }
            let before = saga
                .definition()
                .awaited_before(spec.name, &self.writer.view.state);
            if before.is_some_and(|before| self.desk.is_busy(before.name)) {
                self.early.push(spec.name.to_owned());
            }
        }
        for spec in waiting() {
            let hint = hinted.iter().any(|step| step == spec.name);
            if !(due.contains(&spec.name) || hint && self.may_look(spec)) {
                if hint {
                    self.look_before(spec);
                }
                continue;
            }
            if self.desk.admit(spec.name) {
                self.look_at(spec);
            } else if hint && !self.inner.stopping.is_cancelled() && self.desk.begins(spec.name) {
                self.hinted.push(spec.name.to_owned());
            }
        }
        self.desk.keep_lent(|step| {
            self.hinted
                .iter()
                .chain(&self.early)
                .any(|hint| hint == step)
        });
    }

    /// Somebody hinted at a step whose turn has not come. They may know more than we do: what we wait for before it has come to pass as well.
    fn look_before(&mut self, spec: &StepSpec) {
        let saga = Arc::clone(&self.saga);
        let Some(before) = saga
            .definition()
            .awaited_before(spec.name, &self.writer.view.state)
        else {
            return;
        };
        if !self.may_look(before) {
            return;
        }
        // Who may look at the later one here may look at the earlier one first.
        if !self.desk.begins(before.name) {
            if !self.desk.begins(spec.name) {
                return;
            }
            self.desk.lend(vec![before.name.to_owned()]);
        }
        let name = spec.name.to_owned();
        // A look that is under way may have missed what the hint is about.
        if !self.desk.is_busy(before.name) && self.desk.admit(before.name) {
            self.look_at(before);
            self.early.push(name);
        } else if !self.inner.stopping.is_cancelled() {
            self.hinted.push(name);
        }
    }

    fn may_look(&self, spec: &StepSpec) -> bool {
        let state = &self.writer.view.state;
        // What was refused on the way forward, and not by a person, may come to pass all the same.
        let settled = state.step(spec.name).is_some_and(|step| {
            let refused = matches!(step.standing, Standing::Refused { .. });
            step.is_settled() && (!refused || step.unwinding || step.resolved.is_some())
        });
        let definition = self.saga.definition();
        let undoes = definition.unwind.iter().any(|own| own.name == spec.name);
        // What undoes something has its turn only when the saga says so: before, what it would find is another step's answer.
        let in_turn = !undoes || self.saga.unwind(state).contains(&spec.name);
        // A later scan may be seen while the look for an earlier one fails: what comes first is to be found first.
        let place = definition
            .forward
            .iter()
            .position(|own| own.name == spec.name);
        let earlier = &definition.forward[..place.unwrap_or(0)];
        let follows = earlier.iter().all(|own| state.is_done(own.name));
        !settled && in_turn && follows && state.phase != Phase::Completed
    }

    fn look_at(&mut self, spec: &StepSpec) {
        let step = self.writer.view.state.step(spec.name);
        let (attempt, round) = step.map_or((1, 0), |step| (step.polls + 1, step.round));
        let key = key(self.writer.view.id, spec.name, round);
        let deadline = self.inner.clock.now() + span(spec.time_limit);
        self.call(spec.name, attempt, key, deadline, Work::Look);
    }
}
