//! The fold. An event that cannot follow what went before is an error: such a log was not written by these rules.

use chrono::{DateTime, Utc};

use super::event::{
    AttemptEnded, AttemptResult, Polled, RetryRequested, SagaEvent, StepDone, StepParked,
    StepRefused, StepResolved, StepSkipped, StepStarted, Verdict,
};
use super::state::{CancelRequest, Parked, Phase, Signal, Standing, State, Step, Unwind};

/// An event that cannot follow what went before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow: {why}")]
pub struct IllegalTransition {
    /// Type of the event.
    pub event: &'static str,
    /// What it contradicts.
    pub why: String,
}

/// The code of a step that was closed without having had an effect.
pub const NOT_DONE: &str = "not-done";

/// The code of a step that is parked only because it takes too long; an end of its own, or news, ends that as well.
pub const OVERDUE: &str = "overdue";

/// The code of a step that a person found undone.
pub const RESOLVED_UNDONE: &str = "resolved-undone";

type Evolved = Result<(), String>;

impl State {
    /// The state after one more event.
    pub fn evolve(mut self, event: &SagaEvent) -> Result<Self, IllegalTransition> {
        self.apply(event).map_err(|why| IllegalTransition {
            event: event.event_type(),
            why,
        })?;
        self.updated_at = self.updated_at.max(event.at());
        Ok(self)
    }

    fn apply(&mut self, event: &SagaEvent) -> Evolved {
        if let SagaEvent::SagaStarted(started) = event {
            self.demand(Phase::New)?;
            self.saga.clone_from(&started.saga);
            self.version = started.version;
            self.input = started.input.clone();
            self.phase = Phase::Forward;
            self.started_at = started.at;
            self.unanswered = true;
            return Ok(());
        }
        if self.phase == Phase::New {
            return Err("the saga has not started".to_owned());
        }
        match event {
            SagaEvent::SagaStarted(_) => Ok(()),
            SagaEvent::StepStarted(event) => self.started(event),
            SagaEvent::StepDone(event) => self.done(event),
            SagaEvent::StepRefused(event) => self.refused(event),
            SagaEvent::AttemptEnded(event) => self.ended(event),
            SagaEvent::Polled(event) => self.polled(event),
            SagaEvent::StepParked(event) => self.park(event),
            SagaEvent::RetryRequested(event) => self.retry(event),
            SagaEvent::StepResolved(event) => self.resolve(event),
            SagaEvent::StepSkipped(event) => self.skip(event),
            _ => self.turn(event),
        }
    }

    /// The events that are about the saga as a whole.
    fn turn(&mut self, event: &SagaEvent) -> Evolved {
        match event {
            SagaEvent::SignalReceived(event) => {
                self.signals.push(Signal {
                    name: event.signal.clone(),
                    data: event.data.clone(),
                });
                self.hurry(event.at);
                self.rested = false;
            }
            SagaEvent::CancelRequested(event) => {
                self.demand(Phase::Forward)?;
                self.cancel = Some(CancelRequest {
                    reason: event.reason.clone(),
                    actor: event.actor.clone(),
                    at: event.at,
                    refused: None,
                });
            }
            SagaEvent::UnwindStarted(event) => {
                self.demand(Phase::Forward)?;
                self.phase = Phase::Unwinding;
                self.unwind = Some(Unwind {
                    cause: event.cause.clone(),
                    actor: event.actor.clone(),
                    at: event.at,
                });
                self.turned(event.at);
            }
            SagaEvent::CancelRefused(event) => {
                self.demand(Phase::Unwinding)?;
                self.phase = Phase::Forward;
                self.unwind = None;
                self.turns += 1;
                if let Some(cancel) = &mut self.cancel {
                    cancel.refused = Some((event.code.clone(), event.reason.clone()));
                }
                // What has happened stays so: only a wait for somebody else can have been seen to end on the way back.
                self.steps
                    .iter_mut()
                    .filter(|step| !step.is_done())
                    .filter(|step| step.unwinding || step.is_closed_by_turning())
                    .for_each(Step::renew);
                // Whoever refused may know more than we do: look at once whether the pivot has been passed.
                self.hurry(event.at);
                self.answer_owed();
            }
            SagaEvent::SagaRested(_) => {
                self.rested = true;
                self.unanswered = false;
            }
            SagaEvent::SagaCompleted(_) => {
                self.demand(Phase::Forward)?;
                self.phase = Phase::Completed;
                self.unanswered = false;
            }
            SagaEvent::SagaUnwound(_) => {
                self.demand(Phase::Unwinding)?;
                self.phase = Phase::Unwound;
                self.unanswered = false;
            }
            _ => {}
        }
        Ok(())
    }

    fn started(&mut self, event: &StepStarted) -> Evolved {
        if self.is_finished() {
            return Err("the saga has finished".to_owned());
        }
        let step = self.touch(&event.step, event.at);
        if event.attempt != step.attempt + 1 {
            return Err(format!(
                "attempt {} follows attempt {}",
                event.attempt, step.attempt
            ));
        }
        match &step.standing {
            Standing::Running { deadline, .. } if event.at < *deadline => {
                return Err(format!("{} is owned until {deadline}", event.step));
            }
            Standing::Running { .. } => step.in_doubt |= !step.asking,
            Standing::Idle | Standing::Backoff { .. } => {}
            // It was closed on the way back for not being found, and now it may be done after all: the key was never used.
            Standing::Refused { code, .. } if step.unwinding && code == NOT_DONE => {}
            _ => return Err(format!("{} is settled or only waits", event.step)),
        }
        if step.standing == Standing::Idle {
            step.tried_since = event.at;
        }
        step.attempt = event.attempt;
        step.branch = event.branch;
        step.asking = event.asks;
        if !event.asks {
            step.open_until = step.open_until.max(Some(event.deadline));
        }
        step.standing = Standing::Running {
            owner: event.owner,
            deadline: event.deadline,
        };
        self.answered(event.branch);
        Ok(())
    }

    fn done(&mut self, event: &StepDone) -> Evolved {
        let finished = self.is_finished();
        if finished && !event.late {
            return Err("the saga has finished".to_owned());
        }
        let unwound = self.phase == Phase::Unwound;
        let step = self.touch(&event.step, event.at);
        if step.is_done() {
            step.repeats += 1;
            return Ok(());
        }
        if !event.late && step.is_settled() {
            return Err(format!("{} is settled", event.step));
        }
        step.attempt = step.attempt.max(event.attempt);
        step.settle(Standing::Done);
        step.stop_waiting_for_people();
        step.output = Some(event.output.clone());
        let branch = step.branch;
        if unwound && !branch {
            self.phase = Phase::Unwinding;
        }
        self.settled(branch);
        Ok(())
    }

    fn refused(&mut self, event: &StepRefused) -> Evolved {
        let finished = self.is_finished();
        let step = self.touch(&event.step, event.at);
        if event.late || step.is_seen_on_the_way_back() {
            return Ok(());
        }
        if finished || step.is_settled() {
            return Err(format!("{} is settled", event.step));
        }
        step.attempt = step.attempt.max(event.attempt);
        step.settle(Standing::Refused {
            code: event.code.clone(),
            reason: event.reason.clone(),
        });
        step.stop_waiting_for_people();
        let branch = step.branch;
        self.settled(branch);
        Ok(())
    }

    fn ended(&mut self, event: &AttemptEnded) -> Evolved {
        if event.late {
            return self.reopen(event);
        }
        let step = self.touch(&event.step, event.at);
        if event.attempt != step.attempt || !step.is_running() {
            let (attempt, name) = (event.attempt, &event.step);
            return Err(format!("attempt {attempt} of {name} is not open"));
        }
        match event.result {
            AttemptResult::Unknown | AttemptResult::Undecided => step.in_doubt |= !step.asking,
            AttemptResult::Spent => step.use_up_key(),
            AttemptResult::NotSent | AttemptResult::NotFound => {}
        }
        let branch = step.branch;
        step.back_off(event);
        self.answered(branch);
        Ok(())
    }

    /// Somebody who had been frozen may have had an effect after others began to close the step as if there was none, or had
    /// closed it.
    fn reopen(&mut self, event: &AttemptEnded) -> Evolved {
        let unwound = self.phase == Phase::Unwound;
        let step = self.known(&event.step)?;
        step.in_doubt = true;
        if step.is_running() {
            step.doubted = step.attempt;
            return Ok(());
        }
        if !step.can_reopen() {
            return Err(format!("{} cannot be opened again", event.step));
        }
        step.back_off(event);
        if unwound {
            self.phase = Phase::Unwinding;
        }
        self.rested = false;
        Ok(())
    }

    fn polled(&mut self, event: &Polled) -> Evolved {
        let step = self.touch(&event.step, event.at);
        match step.standing {
            Standing::Idle => {}
            Standing::Polling { .. } => step.polls += 1,
            Standing::Done if step.is_seen_on_the_way_back() => return Ok(()),
            _ => return Err(format!("{} does not wait", event.step)),
        }
        step.standing = Standing::Polling {
            next_at: event.next_at,
        };
        let branch = step.branch;
        self.answered(branch);
        Ok(())
    }

    fn park(&mut self, event: &StepParked) -> Evolved {
        self.touch(&event.step, event.at).parked = Some(Parked {
            code: event.code.clone(),
            reason: event.reason.clone(),
            at_stake: event.at_stake.clone(),
            suggestion: event.suggestion.clone(),
            at: event.at,
        });
        Ok(())
    }

    fn retry(&mut self, event: &RetryRequested) -> Evolved {
        let step = self.known(&event.step)?;
        step.parked = None;
        step.tried_since = event.at;
        if let Standing::Refused { .. } = step.standing {
            step.renew();
        }
        step.hurry(event.at);
        // A side branch is looked at when its own timer says so. The main line owes no answer for it: nothing that the branch does
        // would ever give it.
        let main = !step.branch || step.timer().is_none();
        self.settled(!main);
        Ok(())
    }

    fn resolve(&mut self, event: &StepResolved) -> Evolved {
        let step = self.known(&event.step)?;
        step.parked = None;
        step.resolved = Some(event.outcome);
        match event.outcome {
            Verdict::Done => {
                step.settle(Standing::Done);
                if !event.evidence.is_null() || step.output.is_none() {
                    step.output = Some(event.evidence.clone());
                }
            }
            Verdict::Undone => step.settle(Standing::Refused {
                code: RESOLVED_UNDONE.to_owned(),
                reason: event.reason.clone(),
            }),
        }
        let branch = step.branch;
        self.settled(branch);
        Ok(())
    }

    fn skip(&mut self, event: &StepSkipped) -> Evolved {
        let step = self.known(&event.step)?;
        step.parked = None;
        step.settle(Standing::Skipped);
        let branch = step.branch;
        self.settled(branch);
        Ok(())
    }

    fn demand(&self, phase: Phase) -> Evolved {
        if self.phase == phase {
            return Ok(());
        }
        Err(format!("the saga is {:?}, not {phase:?}", self.phase))
    }

    fn known(&mut self, name: &str) -> Result<&mut Step, String> {
        let step = self.steps.iter_mut().find(|step| step.name == name);
        step.ok_or_else(|| format!("{name} was never touched"))
    }

    fn touch(&mut self, name: &str, at: DateTime<Utc>) -> &mut Step {
        let index = self.steps.iter().position(|step| step.name == name);
        let index = index.unwrap_or_else(|| {
            self.steps
                .push(Step::new(name, self.phase == Phase::Unwinding, at));
            self.steps.len() - 1
        });
        &mut self.steps[index]
    }

    /// The main line answers for what happened before; a side branch does not.
    fn answered(&mut self, branch: bool) {
        self.unanswered &= branch;
    }

    fn settled(&mut self, branch: bool) {
        self.rested = false;
        self.unanswered |= !branch;
    }

    fn answer_owed(&mut self) {
        self.rested = false;
        self.unanswered = true;
    }

    /// Nobody waits for forward steps any more, and what is in doubt is to be settled now.
    fn turned(&mut self, at: DateTime<Utc>) {
        for step in &mut self.steps {
            match step.standing {
                Standing::Polling { .. } => step.standing = Standing::Idle,
                Standing::Refused { .. } => step.parked = None,
                _ => {}
            }
            step.hurry(at);
        }
        self.answer_owed();
    }

    fn hurry(&mut self, at: DateTime<Utc>) {
        self.steps.iter_mut().for_each(|step| step.hurry(at));
    }
}
