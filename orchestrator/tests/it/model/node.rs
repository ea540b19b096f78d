//! One engine of the model: what it believes the log says, and the calls it has in hand.

use std::sync::Arc;

use aggregates::saga::{AttemptResult, State};
use chrono::{DateTime, Utc};
use orchestrator::saga::finding::{Ended, Finding};
use orchestrator::saga::plan::Mode;
use orchestrator::saga::start::Start;
use serde_json::Value;
use uuid::Uuid;

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

pub(super) fn begun(start: Start) -> InHand {
    let stage = match start.begin.mode {
        Mode::Execute => Stage::Checked,
        _ => Stage::Asking,
    };
    InHand {
        step: start.begin.step,
        attempt: start.begin.attempt,
        key: start.key,
        mode: start.begin.mode,
        send_by: start.send_by,
        stage,
        sent: false,
    }
}

/// A look at a step that only waits, which finds that it happened.
pub(super) fn seen(now: DateTime<Utc>) -> InHand {
    InHand {
        step: "handover",
        attempt: 1,
        key: String::new(),
        mode: Mode::Probe(None),
        send_by: now,
        stage: Stage::Heard(Finding::Done(Value::Null)),
        sent: false,
    }
}

pub(super) fn ended(call: &InHand) -> Ended {
    let Stage::Heard(finding) = &call.stage else {
        unreachable!("only what was heard is reported");
    };
    Ended {
        step: call.step,
        attempt: call.attempt,
        finding: finding.clone(),
        sent: call.sent,
        event_id: Uuid::nil(),
    }
}

pub(super) fn open(result: AttemptResult) -> Finding {
    Finding::Open {
        result,
        reason: String::new(),
    }
}
