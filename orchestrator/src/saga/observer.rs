//! The points at which somebody may watch, hold up or end an engine: how tests crash and freeze one exactly where they mean to.

use aggregates::saga::SagaEvent;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

/// Where an engine is with a saga.
#[derive(Debug, Clone)]
pub enum Point {
    /// About to append these events.
    Appending(Vec<SagaEvent>),
    /// They are in the log.
    Appended(Vec<SagaEvent>),
    /// About to call the participant; the deadline was checked.
    Executing {
        /// The step.
        step: &'static str,
        /// The attempt.
        attempt: u32,
    },
    /// The participant answered; nothing is written yet.
    Executed {
        /// The step.
        step: &'static str,
        /// The attempt.
        attempt: u32,
    },
    /// Nothing to do before this time, and no call is in flight.
    Waiting {
        /// Until then, or until somebody wakes it.
        until: Option<DateTime<Utc>>,
    },
}

/// Told of every point before the engine goes on; a future that never resolves holds that saga there for ever.
pub trait Observer: Send + Sync + 'static {
    /// The engine is at this point with this saga.
    fn reached<'a>(&'a self, saga: Uuid, point: Point) -> BoxFuture<'a, ()>;
}
