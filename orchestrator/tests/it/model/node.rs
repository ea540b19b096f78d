//! One engine of the model: what it believes the log says, and the calls it has in hand.

use std::sync::Arc;

use aggregates::saga::State;
use chrono::{DateTime, Utc};
use orchestrator::saga::finding::Finding;
use orchestrator::saga::plan::Mode;

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// About to ask.
    Asking,
    /// The time was checked; about to execute.
    Checked,
    /// Answered, or given up on; not written down.
    Heard(Finding),
}

/// A call in the hands of an engine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InHand {
    pub(super) step: &'static str,
    pub(super) attempt: u32,
    pub(super) key: String,
    pub(super) mode: Mode,
    pub(super) send_by: DateTime<Utc>,
    pub(super) stage: Stage,
    /// Something may have left this engine.
    pub(super) sent: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) view: Arc<State>,
    pub(super) version: usize,
    pub(super) calls: Vec<InHand>,
}

impl Node {
    pub(super) fn holds(&self, step: &str) -> bool {
        self.calls.iter().any(|call| call.step == step)
    }
}
