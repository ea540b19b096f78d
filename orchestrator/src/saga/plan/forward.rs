//! The way forward: one step after another, side branches beside them.

use aggregates::saga::{Cause, CauseKind, Standing, Step};

use super::{Decision, Planner};
use crate::saga::step::{Class, OnRefusal, StepSpec};

impl Planner<'_> {
    pub(super) fn forward(&mut self) -> Option<Decision> {
        let saga = self.saga;
        let definition = saga.definition();
        let mut open = false;
        for spec in &definition.forward {
            match self.settled(spec, true) {
                Ok(true) => {}
                Ok(false) => {
                    open = true;
                    if !self.rests(spec)
                        && let Some(decision) = self.advance(spec, false)
                    {
                        return Some(decision);
                    }
                    break;
                }
                Err(decision) => return Some(decision),
            }
        }
        for branch in &definition.branches {
            if !self.state.is_done(branch.after) {
                continue;
            }
            match self.settled(&branch.step, false) {
                Ok(true) => {}
                Ok(false) => {
                    open = true;
                    if !self.rests(&branch.step)
                        && let Some(decision) = self.advance(&branch.step, true)
                    {
                        return Some(decision);
                    }
                }
                Err(decision) => return Some(decision),
            }
        }
        if !open {
            return Some(Decision::Complete);
        }
        self.rest()
    }

    /// Whether the saga may go past this step; `Err`: what its refusal leads to.
    fn settled(&self, spec: &StepSpec, gates: bool) -> Result<bool, Decision> {
        let Some(step) = self.state.step(spec.name) else {
            return Ok(false);
        };
        if step.parked.is_some() {
            return Ok(false);
        }
        match &step.standing {
            Standing::Done | Standing::Skipped => Ok(true),
            Standing::Refused { code, reason } => self.refused(spec, step, gates, code, reason),
            _ => Ok(false),
        }
    }

    fn refused(
        &self,
        spec: &StepSpec,
        step: &Step,
        gates: bool,
        code: &str,
        reason: &str,
    ) -> Result<bool, Decision> {
        let person_decided = step.resolved.is_some();
        match spec.on_refusal {
            OnRefusal::Accept => Ok(true),
            OnRefusal::Unwind if gates && !self.past_pivot() => Err(Decision::Unwind(Cause {
                kind: CauseKind::Refused,
                step: Some(spec.name.to_owned()),
                code: code.to_owned(),
                reason: reason.to_owned(),
            })),
            // What gives something back ahead of everything else is all that its saga is for: that it was not given back is no end.
            _ if person_decided && spec.class != Class::Compensation => Ok(true),
            _ => Err(Decision::Park {
                step: spec.name,
                code: code.to_owned(),
                reason: reason.to_owned(),
            }),
        }
    }

    fn past_pivot(&self) -> bool {
        let forward = &self.saga.definition().forward;
        forward
            .iter()
            .any(|spec| spec.class == Class::Pivot && self.state.is_done(spec.name))
    }
}
