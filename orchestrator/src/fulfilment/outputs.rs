//! What participants answer, as the saga's log keeps it, and what an operator may state in its place.

use aggregates::delivery::Scans;
use aggregates::kakao::Dispatch;
use aggregates::money::{Currency, Money};
use chrono::{DateTime, Utc};
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
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    fallback: Option<String>,
}

impl SentOutput {
    /// What is recorded of it, after so many attempts.
    pub(super) fn dispatch(self, attempts: Option<u32>) -> Dispatch {
        Dispatch {
            channel: self.channel,
            provider_ref: self.reference,
            template: self.template,
            fallback: self.fallback,
            attempts,
        }
    }

    /// A person's word need not name the channel.
    pub(super) fn unknown() -> Self {
        Self {
            channel: "unknown".to_owned(),
            reference: None,
            template: None,
            fallback: None,
        }
    }
}

/// Output of `handover` and `track`, and the news on the way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScansOutput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_transit_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out_for_delivery_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<(DateTime<Utc>, String)>,
}

impl From<Scans> for ScansOutput {
    fn from(scans: Scans) -> Self {
        let Scans {
            in_transit_at,
            out_for_delivery_at,
            trouble,
        } = scans;
        Self {
            in_transit_at,
            out_for_delivery_at,
            trouble,
        }
    }
}

impl From<ScansOutput> for Scans {
    fn from(output: ScansOutput) -> Self {
        let ScansOutput {
            in_transit_at,
            out_for_delivery_at,
            trouble,
        } = output;
        Self {
            in_transit_at,
            out_for_delivery_at,
            trouble,
        }
    }
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
        let mut output = serde_json::json!({ "channel": self.channel, "ref": self.reference });
        for (name, value) in [("template", self.template), ("fallback", self.fallback)] {
            if let Some(value) = value {
                output[name] = value.into();
            }
        }
        output
    }
}

impl ToOutput for () {
    fn to_output(self) -> Value {
        Value::Null
    }
}
