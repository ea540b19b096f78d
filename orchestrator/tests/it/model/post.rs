//! The participants of the model: a bank that honours keys, and a carrier that may not.

use std::collections::BTreeMap;

use orchestrator::saga::finding::Finding;
use serde_json::Value;

/// What happened outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Post {
    pub(super) charges: u8,
    pub(super) refunds: u8,
    pub(super) shipments: u8,
    pub(super) held: bool,
    pub(super) recalled: bool,
    pub(super) handed_over: bool,
    /// Executions without a key that were sent after their deadline: only a process frozen between its last check and the call does that.
    pub(super) overdue: u8,
    /// Final answers by key; `false` is a refusal.
    answers: BTreeMap<String, bool>,
}

impl Post {
    /// A parcel is on its way and nobody can stop it any more, or nobody has.
    pub(super) fn can_leave(&self) -> bool {
        self.shipments > 0 && !self.held && !self.recalled
    }

    pub(super) fn execute(&mut self, step: &str, key: &str, keyed: bool, accepts: bool) -> Finding {
        if keyed && let Some(done) = self.answers.get(key) {
            return answer(*done);
        }
        let done = accepts && self.act(step);
        if keyed {
            self.answers.insert(key.to_owned(), done);
        }
        answer(done)
    }

    fn act(&mut self, step: &str) -> bool {
        match step {
            "pay" => self.charges += 1,
            "ship" => self.shipments += 1,
            "refund" => self.refunds += 1,
            "recall" => self.recalled = true,
            _ if self.handed_over => return false,
            _ => self.held = true,
        }
        true
    }

    pub(super) fn find(&self, step: &str, key: &str, keyed: bool) -> Option<Finding> {
        match self.answers.get(key) {
            Some(done) if keyed => Some(answer(*done)),
            _ if !keyed && step == "ship" && self.shipments > 0 => Some(answer(true)),
            _ => None,
        }
    }
}

fn answer(done: bool) -> Finding {
    if done {
        return Finding::Done(Value::Null);
    }
    Finding::Refused {
        code: "no".to_owned(),
        reason: String::new(),
    }
}
