//! The shape of every aggregate: decide, evolve, and the fold made of them.

/// A pure state machine. Time and ids arrive inside commands; nothing here reads a clock, makes an
/// id or does I/O.
pub trait Decider {
    /// What a stream of events folds into; the default is the empty stream.
    type State: Default;
    /// What somebody wants, or what somebody outside says has happened.
    type Command;
    /// What is recorded.
    type Event;
    /// Why a command is refused.
    type Rejection;

    /// The events a command leads to. A command whose effect is already recorded gives none: every
    /// command may run twice.
    fn decide(
        state: &Self::State,
        command: &Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after one more event.
    fn evolve(state: Self::State, event: &Self::Event) -> Result<Self::State, IllegalTransition>;

    /// The state after these events.
    fn fold<'a>(
        state: Self::State,
        events: impl IntoIterator<Item = &'a Self::Event>,
    ) -> Result<Self::State, IllegalTransition>
    where
        Self::Event: 'a,
    {
        events.into_iter().try_fold(state, Self::evolve)
    }
}

/// An event that cannot follow the events before it: the history is damaged, or written by
/// something that skipped `decide`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow {state} in the history of this {aggregate}")]
pub struct IllegalTransition {
    /// Which decider refused.
    pub aggregate: &'static str,
    /// The state it was in.
    pub state: &'static str,
    /// The event that does not fit.
    pub event: &'static str,
}
