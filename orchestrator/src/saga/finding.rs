//! What attempts come to, before it is in the log.

use aggregates::saga::AttemptResult;
use serde_json::Value;
use uuid::Uuid;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// The effect happened.
    Done(Value),
    /// No effect under this key, for good.
    Refused {
        /// Stable word for programs.
        code: String,
        /// Sentence for people.
        reason: String,
    },
    /// The participant does not know it, and nobody may send it any more.
    Absent {
        /// Stable word for programs.
        code: &'static str,
    },
    /// Nothing is decided.
    Open {
        /// How it ended.
        result: AttemptResult,
        /// Sentence for people.
        reason: String,
    },
    /// What the step waits for has not happened yet.
    NotYet,
    /// It has not, and there is news on the way.
    Progress {
        /// The saga's own word for the news.
        signal: &'static str,
        /// The saga's own form.
        data: Value,
    },
}

/// An attempt that ended. The id is that of the event it becomes, so that a reader of the log can tell whether it did.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The step.
    pub step: &'static str,
    /// The attempt.
    pub attempt: u32,
    /// What it came to.
    pub finding: Finding,
    /// Something may have left this process.
    pub sent: bool,
    /// Id of the event.
    pub event_id: Uuid,
}
