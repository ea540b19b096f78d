//! What the checker looks at: plain JSON, as the product and its providers gave it out.

use serde_json::Value;

/// Everything that was gathered, and what the customers were told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// The providers' ledger, line by line.
    pub(crate) ledger: Vec<Value>,
    /// The log, event by event.
    pub(crate) events: Vec<Value>,
    /// Rows of the customer view.
    pub(crate) customers: Vec<Value>,
    /// Rows of the saga view.
    pub(crate) sagas: Vec<Value>,
    /// Rows of the message view.
    pub(crate) messages: Vec<Value>,
    /// What was answered to customers, in the order they heard it.
    pub(crate) replies: Vec<Reply>,
}

/// What a customer asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To have an order.
    Place,
    /// To have it canceled.
    Cancel,
}

/// A status that a customer got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// About which order.
    pub(crate) order: String,
    /// To what.
    pub(crate) asked: Asked,
    /// The HTTP status.
    pub(crate) status: u16,
}

/// A text field; empty where there is none.
pub(super) fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_default()
}

/// A number field; 0 where there is none.
pub(super) fn int(document: &Value, field: &str) -> i64 {
    document[field].as_i64().unwrap_or_default()
}

/// Category and id of an event's stream.
pub(super) fn stream(event: &Value) -> (&str, &str) {
    text(event, "stream").split_once('-').unwrap_or_default()
}

/// Whether a line of the ledger tells of an effect of this kind.
pub(super) fn is_effect(line: &Value, op: &str) -> bool {
    line["op"] == op && line["result"] == "done"
}
