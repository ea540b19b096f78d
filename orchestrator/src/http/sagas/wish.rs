//! What an operator's body says: which verb, why, at which step.

use aggregates::field::REASON;
use aggregates::saga::Verdict;
use serde_json::Value;

use crate::http::fields::Fields;
use crate::saga::verbs::{Finding, Verb};

/// The verbs, as they are named in addresses and bodies.
pub(super) const VERBS: [&str; 4] = ["retry", "resolve", "skip", "cancel"];

/// What every intervention says.
pub(super) struct Wish {
    pub(super) verb: Option<Verb>,
    pub(super) reason: String,
    pub(super) step: Option<String>,
}

/// Reads the fields that every intervention has. What is wrong is reported with the fields.
pub(super) fn wish(fields: &mut Fields<'_>, verb: Option<&str>) -> Wish {
    let reason = fields.required_text("reason");
    if let Some(error) = reason.as_deref().and_then(|text| REASON.check("", text)) {
        fields.refuse("reason", error.detail);
    }
    Wish {
        step: fields.text("step"),
        verb: match verb {
            Some("retry") => Some(Verb::Retry),
            Some("skip") => Some(Verb::Skip),
            Some("cancel") => Some(Verb::Cancel),
            Some("resolve") => finding(fields).map(Verb::Resolve),
            _ => None,
        },
        reason: reason.unwrap_or_default(),
    }
}

fn finding(fields: &mut Fields<'_>) -> Option<Finding> {
    let outcome = match fields.required_text("outcome").as_deref() {
        Some("done") => Some(Verdict::Done),
        Some("undone") => Some(Verdict::Undone),
        Some(_) => {
            fields.refuse("outcome", "outcome must be done or undone.");
            None
        }
        None => None,
    };
    let evidence = fields.any("evidence").unwrap_or(Value::Null);
    let force = fields.flag("force").unwrap_or_default();
    Some(Finding {
        outcome: outcome?,
        evidence,
        force,
    })
}
