//! Questions to workers and their answers, as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};

/// Asks for a step to be executed, or for what came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question<T> {
    /// The step.
    pub step: &'static str,
    /// The same for every attempt at the same effect: the key by which a worker knows what it has done.
    pub key: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Nothing may be begun after this; whoever asked has gone.
    #[serde(serialize_with = "millis")]
    pub deadline: DateTime<Utc>,
    /// The same for those whose clock is another: the time that was left when it was asked.
    pub timeout_ms: u64,
    /// What the step needs.
    pub input: T,
}

fn millis<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// A message to be sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageInput {
    /// `shipped`, `canceled` or `direct`. Unknown to a probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Telephone, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The text. Unknown to a probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a worker says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Reply {
    /// It was done, now or before.
    Done {
        /// What proves it.
        output: Proof,
    },
    /// It will not be done, now or later.
    Refused {
        /// Stable, in kebab case.
        code: String,
        /// One sentence for people.
        reason: String,
    },
    /// It may have been done.
    Unknown {
        /// Why nobody knows.
        reason: String,
    },
    /// To a probe only: there is no trace of it.
    Nothing,
}

/// What proves that something was done.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Proof {
    /// The reference under which it is found again.
    pub reference: String,
    /// By which way it went.
    #[serde(default)]
    pub channel: Option<String>,
}
