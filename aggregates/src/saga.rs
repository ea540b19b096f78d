//! The log of a saga: what happened to each of its steps, and what that adds up to.
//!
//! The events say nothing about what a saga is for; names of steps, keys and outputs are the saga's own words. The fold
//! ([`State::evolve`]) is all that an engine, a list for operators and a model checker need: who owns which step and until
//! when, what is in doubt, what is parked, and when somebody has to look again ([`State::due_at`]).

mod changes;
mod event;
mod evolve;
mod state;
#[cfg(test)]
mod tests;

pub use event::{
    AttemptEnded, AttemptResult, CancelRefused, CancelRequested, Cause, CauseKind, Polled,
    RetryRequested, SagaCompleted, SagaEvent, SagaRested, SagaStarted, SagaUnwound, SignalReceived,
    Stake, StepDone, StepParked, StepRefused, StepResolved, StepSkipped, StepStarted, TYPES,
    UnwindStarted, Verdict, decode, encode,
};
pub use evolve::{IllegalTransition, NOT_DONE, OVERDUE, RESOLVED_UNDONE};
pub use state::{CancelRequest, Parked, Phase, Signal, Standing, State, Status, Step, Unwind};
