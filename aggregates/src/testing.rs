//! Given these events, when this command comes, then those events: how deciders are tested.

use std::fmt::Debug;

use chrono::{DateTime, Utc};

use crate::decider::Decider;

/// The time of every command in these tests, finer than an event keeps.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-22T09:30:00.123456Z"
        .parse()
        .expect("a time in RFC 3339")
}

/// What an event keeps of [`now`].
pub(crate) fn now_in_events() -> DateTime<Utc> {
    "2026-11-22T09:30:00.123Z"
        .parse()
        .expect("a time in RFC 3339")
}

/// A stream that already has these events.
#[track_caller]
pub(crate) fn given<D: Decider>(events: Vec<D::Event>) -> Given<D> {
    match D::fold(D::State::default(), &events) {
        Ok(state) => Given { state },
        Err(illegal) => panic!("the given events are no history: {illegal}"),
    }
}

/// A state that a command can meet.
pub(crate) struct Given<D: Decider> {
    state: D::State,
}

impl<D: Decider> Given<D> {
    /// Lets the command come.
    pub(crate) fn when(self, command: D::Command) -> Then<D> {
        let outcome = D::decide(&self.state, &command);
        Then {
            state: self.state,
            command,
            outcome,
        }
    }

    /// The state itself.
    pub(crate) fn state(self) -> D::State {
        self.state
    }
}

/// What a command led to.
pub(crate) struct Then<D: Decider> {
    state: D::State,
    command: D::Command,
    outcome: Result<Vec<D::Event>, D::Rejection>,
}

impl<D> Then<D>
where
    D: Decider<Event: Debug + PartialEq, Rejection: Debug + PartialEq>,
{
    /// It led to exactly these events; they fit the history, and the same command once more leads
    /// to nothing.
    #[track_caller]
    pub(crate) fn then(self, expected: Vec<D::Event>) {
        let events = self.outcome.expect("the command was refused");
        assert_eq!(events, expected);
        let state =
            D::fold(self.state, &events).expect("the decided events do not fit the history");
        assert_eq!(
            D::decide(&state, &self.command),
            Ok(vec![]),
            "the repeat of the command"
        );
    }

    /// Its effect was already there.
    #[track_caller]
    pub(crate) fn then_nothing(self) {
        assert_eq!(self.outcome, Ok(vec![]));
    }

    /// It was refused for this reason.
    #[track_caller]
    pub(crate) fn then_refused(self, expected: D::Rejection) {
        assert_eq!(self.outcome, Err(expected));
    }
}
