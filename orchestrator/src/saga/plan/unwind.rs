//! The way back: first settle what is in doubt, then undo in order. What a person has to decide holds up only what needs it.

use aggregates::saga::{CauseKind, Standing, Step, Verdict};

use super::{Decision, NOT_DONE, OVERDUE, PAST_POINT, PIVOT_PASSED, Planner, doubtful};
use crate::saga::step::{Class, Closing, Kind, OnRefusal, StepSpec};

/// Where a step of the unwind list stands.
enum Place {
    /// Nothing more to do about it, and what needs it may go on.
    Over,
    /// A person decided that it stays undone, or it needs such a step.
    Dropped,
    /// It is parked, or needs such a step.
    Held,
    /// To be moved on.
    Open,
}

impl Planner<'_> {
    pub(super) fn unwind(&mut self) -> Option<Decision> {
        if let Some(decision) = self.passed_pivot() {
            return Some(decision);
        }
        let saga = self.saga;
        let definition = saga.definition();
        let mut closing = false;
        for spec in &definition.forward {
            match self.close(spec, spec.closing, false) {
                Ok(open) => closing |= open,
                Err(decision) => return Some(decision),
            }
        }
        let mut branches_open = false;
        for branch in &definition.branches {
            match self.close(&branch.step, branch.step.closing, true) {
                Ok(open) => branches_open |= open,
                Err(decision) => return Some(decision),
            }
        }
        if closing {
            return self.rest();
        }
        match self.undo() {
            Ok(true) if branches_open => None,
            Ok(true) if self.state.steps.iter().all(|step| step.parked.is_none()) => {
                Some(Decision::Unwound)
            }
            Ok(_) => self.rest(),
            Err(decision) => Some(decision),
        }
    }

    /// Settles a started step before the saga goes past it; `Ok(true)`: not settled yet.
    fn close(&mut self, spec: &StepSpec, closing: Closing, branch: bool) -> Result<bool, Decision> {
        let Some(step) = self.state.step(spec.name) else {
            return Ok(false);
        };
        if step.is_settled() || step.standing == Standing::Idle || spec.kind != Kind::Call {
            return Ok(false);
        }
        if self.is_overdue(step) && self.rests(spec) {
            return Ok(true);
        }
        if let Some(overdue) = self.overdue(spec, step) {
            return Err(overdue);
        }
        if !doubtful(step) && !self.live(step) {
            return Err(Decision::Refuse {
                step: spec.name,
                code: NOT_DONE,
                reason: "it was never sent",
            });
        }
        match step.timer() {
            Some(timer) if self.now < timer => self.plan.wake(timer),
            _ => self.begin(
                spec,
                Some(step),
                self.closing_mode(spec, closing, step),
                branch,
            ),
        }
        Ok(true)
    }

    fn is_overdue(&self, step: &Step) -> bool {
        let parked = step.parked.as_ref();
        parked.is_some_and(|parked| parked.code == OVERDUE)
    }

    fn live(&self, step: &Step) -> bool {
        step.is_running() && step.timer().is_some_and(|deadline| self.now < deadline)
    }

    /// Goes through the list; `Ok(true)`: all of it is over.
    fn undo(&mut self) -> Result<bool, Decision> {
        let saga = self.saga;
        let list = saga.unwind(self.state);
        let mut places: Vec<(&'static str, Place)> = Vec::with_capacity(list.len());
        let mut over = true;
        for name in list {
            let Some(spec) = saga.definition().step(name) else {
                continue;
            };
            let place = self.place(spec, &places)?;
            if let Place::Open = place {
                if let Some(decision) = self.advance(spec, false) {
                    return Err(decision);
                }
                // Nothing rests on a step that may be given up: what follows goes on beside it.
                if spec.class != Class::Retriable {
                    return Ok(false);
                }
                over = false;
            }
            if let Place::Held = place {
                // It may have been under way when something it needs was taken away: find out, but do not do it.
                let doubt = self.state.step(spec.name).is_some_and(doubtful);
                if doubt {
                    self.close(spec, Closing::Probe, false)?;
                }
                over = false;
            }
            places.push((name, place));
        }
        Ok(over)
    }

    fn place(&self, spec: &StepSpec, before: &[(&'static str, Place)]) -> Result<Place, Decision> {
        for need in &spec.needs {
            match before.iter().find(|(name, _)| name == need) {
                Some((_, Place::Dropped)) => return Ok(Place::Dropped),
                Some((_, Place::Held | Place::Open)) => return Ok(Place::Held),
                _ if self.parked(need) => return Ok(Place::Held),
                // Whether it was under way when a person decided is still found out.
                _ if self.stands(need) => {
                    let doubt = self.state.step(spec.name).is_some_and(doubtful);
                    return Ok(if doubt { Place::Held } else { Place::Dropped });
                }
                _ => {}
            }
        }
        let Some(step) = self.state.step(spec.name) else {
            return Ok(Place::Open);
        };
        if self.rests(spec) {
            return Ok(Place::Held);
        }
        match &step.standing {
            Standing::Done | Standing::Skipped => Ok(Place::Over),
            // A step that asks leave is not dropped: with it would go all that needs it, and the saga would end with nothing undone.
            Standing::Refused { .. }
                if step.resolved == Some(Verdict::Undone) && !spec.on_refusal.asks_leave() =>
            {
                Ok(Place::Dropped)
            }
            Standing::Refused { code, .. } if code == NOT_DONE => Ok(Place::Open),
            Standing::Refused { .. } if spec.on_refusal == OnRefusal::Accept => Ok(Place::Over),
            Standing::Refused { code, reason } => Err(self.undo_refused(spec, code, reason)),
            _ => Ok(Place::Open),
        }
    }

    /// A person found that the pivot was passed for good: what rests on its not being passed is off.
    fn stands(&self, name: &str) -> bool {
        let mut forward = self.saga.definition().forward.iter();
        let pivot = forward.any(|spec| spec.name == name && spec.class == Class::Pivot);
        let step = self.state.step(name);
        pivot && step.is_some_and(|step| step.is_done() && step.resolved == Some(Verdict::Done))
    }

    fn undo_refused(&self, spec: &StepSpec, code: &str, reason: &str) -> Decision {
        let (code, reason) = (code.to_owned(), reason.to_owned());
        if spec.on_refusal.is_too_late(&code) && self.can_turn_back() {
            return Decision::RefuseCancel { code, reason };
        }
        Decision::Park {
            step: spec.name,
            code,
            reason,
        }
    }

    /// The pivot was passed while the saga was turning round: as long as nothing is undone the request came too late, after
    /// that a person has to decide.
    fn passed_pivot(&self) -> Option<Decision> {
        let definition = self.saga.definition();
        let mut pivots = definition
            .forward
            .iter()
            .filter(|spec| spec.class == Class::Pivot);
        let pivot = pivots.find_map(|spec| {
            self.state
                .step(spec.name)
                .filter(|step| step.is_done())
                .map(|_| spec)
        })?;
        let step = self.state.step(pivot.name)?;
        if step.parked.is_some() || step.resolved.is_some() {
            return None;
        }
        if !self.can_turn_back() {
            return Some(Decision::Park {
                step: pivot.name,
                code: PIVOT_PASSED.to_owned(),
                reason: format!(
                    "{} happened although the saga had begun to undo",
                    pivot.name
                ),
            });
        }
        if self.undo_steps().any(is_open) {
            return None;
        }
        Some(Decision::RefuseCancel {
            code: PAST_POINT.to_owned(),
            reason: format!("{} had happened before", pivot.name),
        })
    }

    /// Somebody asked, and nothing was undone or begun to be undone: asking whether it may be is no harm.
    fn can_turn_back(&self) -> bool {
        let unwind = self.state.unwind.as_ref();
        let asked = unwind.is_some_and(|unwind| unwind.cause.kind == CauseKind::Cancel);
        let begun = |spec: &StepSpec| {
            let asks = spec.on_refusal.asks_leave();
            let step = self.state.step(spec.name);
            step.is_some_and(|step| step.is_done() || (!asks && step.standing != Standing::Idle))
        };
        asked && !self.saga.definition().unwind.iter().any(begun)
    }

    fn undo_steps(&self) -> impl Iterator<Item = &Step> {
        let unwind = &self.saga.definition().unwind;
        unwind.iter().filter_map(|spec| self.state.step(spec.name))
    }
}

/// Begun, and not known to have ended.
fn is_open(step: &Step) -> bool {
    !step.is_settled() && step.standing != Standing::Idle
}
