//! A view as its operators handle it: what they had left out, and whether it stands still.
//!
//! What is parked is no part of this: that is the view's own business, and commands bring along what it
//! says of it now.

mod event;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use event::*;

use crate::decider::{Decider, IllegalTransition};
use crate::instant::to_millis;

/// A view under the hands of operators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    /// Whether it was told to stand still.
    pub paused: bool,
    /// What is left out: the event's place in the log, and the key it is left out of.
    pub skipped: BTreeSet<(i64, Uuid)>,
    /// The last request to take what is parked: of which key, and when.
    pub retried: Option<(Option<Uuid>, DateTime<Utc>)>,
}

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The view.
    pub view: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub action: Action,
}

/// What can be done about a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Take what is parked once more.
    Retry {
        /// Of this key; none: of all.
        key: Option<Uuid>,
        /// Whether anything of it is parked.
        parked: bool,
    },
    /// Leave out the first parked event of a key. Its place is named, so that two who do it at once do
    /// not leave out two.
    Skip {
        /// The key.
        key: Uuid,
        /// The event's place in the log.
        position: i64,
        /// The first parked event of the key, if it is parked.
        first: Option<i64>,
    },
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
}

/// Why it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nothing of it is parked.
    #[error("nothing of it is parked")]
    NotParked,
    /// Another event is the first that is parked of the key.
    #[error("the first parked event of the key is at position {first}")]
    NotFirst {
        /// Where that is.
        first: i64,
    },
}

impl Decider for Projection {
    type State = Projection;
    type Command = Command;
    type Event = ProjectionEvent;
    type Rejection = Rejection;

    fn decide(state: &Projection, command: &Command) -> Result<Vec<ProjectionEvent>, Rejection> {
        let Command {
            view,
            reason,
            actor,
            action,
            ..
        } = command.clone();
        let at = to_millis(command.at);
        let event = match action {
            Action::Retry { key, .. } if state.retried == Some((key, at)) => return Ok(vec![]),
            Action::Retry { parked: false, .. } => return Err(Rejection::NotParked),
            Action::Retry { key, .. } => ProjectionEvent::Retried(ParkedRetried {
                view,
                key,
                reason,
                actor,
                at,
            }),
            Action::Skip { key, position, .. } if state.skipped.contains(&(position, key)) => {
                return Ok(vec![]);
            }
            Action::Skip {
                key,
                position,
                first,
            } => match first {
                None => return Err(Rejection::NotParked),
                Some(first) if first != position => return Err(Rejection::NotFirst { first }),
                Some(_) => ProjectionEvent::Skipped(ParkedSkipped {
                    view,
                    key,
                    position,
                    reason,
                    actor,
                    at,
                }),
            },
            Action::Pause if state.paused => return Ok(vec![]),
            Action::Pause => ProjectionEvent::Paused(ProjectionPaused {
                view,
                reason,
                actor,
                at,
            }),
            Action::Resume if !state.paused => return Ok(vec![]),
            Action::Resume => ProjectionEvent::Resumed(ProjectionResumed {
                view,
                reason,
                actor,
                at,
            }),
        };
        Ok(vec![event])
    }

    fn evolve(
        mut state: Projection,
        event: &ProjectionEvent,
    ) -> Result<Projection, IllegalTransition> {
        let fits = match event {
            ProjectionEvent::Retried(event) => {
                state.retried = Some((event.key, event.at));
                true
            }
            ProjectionEvent::Skipped(event) => state.skipped.insert((event.position, event.key)),
            ProjectionEvent::Paused(_) => !std::mem::replace(&mut state.paused, true),
            ProjectionEvent::Resumed(_) => std::mem::replace(&mut state.paused, false),
        };
        match fits {
            true => Ok(state),
            false => Err(IllegalTransition {
                aggregate: "projection",
                state: if state.paused { "paused" } else { "running" },
                event: event.name(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given, now, now_in_events};

    const KEY: Uuid = Uuid::from_u128(7);

    fn command(action: Action) -> Command {
        let [view, reason, actor] = ["customer", "fixed in 1.4", "kim"].map(str::to_owned);
        Command {
            view,
            reason,
            actor,
            at: now(),
            action,
        }
    }

    fn skip(position: i64, first: Option<i64>) -> Command {
        command(Action::Skip {
            key: KEY,
            position,
            first,
        })
    }

    fn skipped(position: i64) -> ProjectionEvent {
        let [view, reason, actor] = ["customer", "fixed in 1.4", "kim"].map(str::to_owned);
        ProjectionEvent::Skipped(ParkedSkipped {
            view,
            key: KEY,
            position,
            reason,
            actor,
            at: now_in_events(),
        })
    }

    #[test]
    fn what_is_not_parked_is_neither_retried_nor_skipped() {
        let retry = command(Action::Retry {
            key: Some(KEY),
            parked: false,
        });
        given::<Projection>(vec![])
            .when(retry)
            .then_refused(Rejection::NotParked);
        given::<Projection>(vec![])
            .when(skip(40, None))
            .then_refused(Rejection::NotParked);
    }

    #[test]
    fn only_the_first_parked_event_is_skipped_and_only_once() {
        given::<Projection>(vec![])
            .when(skip(40, Some(40)))
            .then(vec![skipped(40)]);
        given::<Projection>(vec![skipped(40)])
            .when(skip(40, Some(41)))
            .then_nothing();
        given::<Projection>(vec![skipped(40)])
            .when(skip(50, Some(41)))
            .then_refused(Rejection::NotFirst { first: 41 });
    }

    #[test]
    fn a_view_is_paused_and_resumed_once_each() {
        let pause = given::<Projection>(vec![]).when(command(Action::Pause));
        let [view, reason, actor] = ["customer", "fixed in 1.4", "kim"].map(str::to_owned);
        let paused = ProjectionEvent::Paused(ProjectionPaused {
            view,
            reason,
            actor,
            at: now_in_events(),
        });
        pause.then(vec![paused.clone()]);
        given::<Projection>(vec![paused])
            .when(command(Action::Pause))
            .then_nothing();
        given::<Projection>(vec![])
            .when(command(Action::Resume))
            .then_nothing();
    }
}
