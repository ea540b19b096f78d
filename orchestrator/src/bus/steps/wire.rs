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

#[cfg(test)]
mod tests {
    use super::*;

    fn question(order_id: Option<&str>, input: MessageInput) -> String {
        let question = Question {
            step: "notify",
            key: "00000000-0000-0000-0000-000000000003".to_owned(),
            order_id: order_id.map(str::to_owned),
            deadline: "2026-11-22T09:30:00.120Z".parse().expect("a time"),
            timeout_ms: 10_000,
            input,
        };
        serde_json::to_string(&question).expect("JSON")
    }

    #[test]
    fn workers_are_asked_as_by_the_release_before() {
        let phone = Some("010-1234-5678".to_owned());
        let step = MessageInput {
            kind: Some("shipped".to_owned()),
            phone: phone.clone(),
            text: Some("Your book is on its way.".to_owned()),
        };
        let probe = MessageInput {
            kind: None,
            phone,
            text: None,
        };
        let order = Some("00000000-0000-0000-0000-000000000001");
        assert_eq!(
            question(order, step),
            include_str!("../golden/step.json").trim_end()
        );
        assert_eq!(
            question(None, probe),
            include_str!("../golden/probe.json").trim_end()
        );
    }

    #[test]
    fn workers_of_the_release_before_are_understood() {
        let done = |channel: Option<&str>| Reply::Done {
            output: Proof {
                reference: "m-1".to_owned(),
                channel: channel.map(str::to_owned),
            },
        };
        let refused = Reply::Refused {
            code: "no-such-number".to_owned(),
            reason: "Nobody has this number.".to_owned(),
        };
        let unknown = Reply::Unknown {
            reason: "the dealer did not answer".to_owned(),
        };
        for (golden, said) in [
            (include_str!("../golden/done.json"), done(Some("alimtalk"))),
            (include_str!("../golden/done-by-any-way.json"), done(None)),
            (include_str!("../golden/refused.json"), refused),
            (include_str!("../golden/unknown.json"), unknown),
            (include_str!("../golden/nothing.json"), Reply::Nothing),
        ] {
            let read: Reply = serde_json::from_str(golden).expect("an answer");
            assert_eq!(read, said, "{golden}");
        }
    }
}
