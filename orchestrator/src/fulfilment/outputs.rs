//! What participants answer, as the saga's log keeps it, and what an operator may state in its place.

use aggregates::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::providers::ports::{Accepted, Label, MoneyMoved};

/// Output of `pay`, `late-charge` and `refund`. An operator who only knows the reference leaves the amount out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MoneyOutput {
    #[serde(rename = "ref")]
    pub(super) reference: String,
    #[serde(default)]
    amount: Option<i64>,
    #[serde(default)]
    currency: Option<Currency>,
}

impl MoneyOutput {
    /// The amount, or what it must have been.
    pub(super) fn money(&self, otherwise: Money) -> Money {
        let amount = self.amount.unwrap_or(otherwise.amount);
        Money::new(amount, self.currency.unwrap_or(otherwise.currency))
    }
}

/// Output of `ship`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LabelOutput {
    pub(super) carrier: String,
    pub(super) waybill: String,
}

/// Output of `notify`, `tell` and `send`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SentOutput {
    pub(super) channel: String,
    #[serde(rename = "ref", default)]
    pub(super) reference: Option<String>,
}

/// As the log keeps it.
pub(super) trait ToOutput {
    fn to_output(self) -> Value;
}

impl ToOutput for MoneyMoved {
    fn to_output(self) -> Value {
        let Money { amount, currency } = self.amount;
        serde_json::json!({ "ref": self.reference, "amount": amount, "currency": currency })
    }
}

impl ToOutput for Label {
    fn to_output(self) -> Value {
        serde_json::json!({ "carrier": self.carrier, "waybill": self.waybill })
    }
}

impl ToOutput for Accepted {
    fn to_output(self) -> Value {
        serde_json::json!({ "channel": self.channel, "ref": self.reference })
    }
}

impl ToOutput for () {
    fn to_output(self) -> Value {
        Value::Null
    }
}
