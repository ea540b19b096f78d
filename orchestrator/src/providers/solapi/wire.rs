//! What Solapi gets and sends, as far as we use it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendMany<'a> {
    pub(super) messages: [Outgoing<'a>; 1],
    /// Otherwise the answer does not name the message that it made.
    pub(super) show_message_list: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outgoing<'a> {
    pub(super) to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<&'a str>,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) kakao_options: KakaoOptions<'a>,
    pub(super) custom_fields: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KakaoOptions<'a> {
    pub(super) pf_id: &'a str,
    pub(super) template_id: &'a str,
    pub(super) variables: BTreeMap<&'static str, &'a str>,
    /// Not set: the dealer sends a text message to whom KakaoTalk does not reach.
    pub(super) disable_sms: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    #[serde(default)]
    pub(super) failed_message_list: Vec<Registered>,
    #[serde(default)]
    pub(super) message_list: Option<Vec<Registered>>,
    #[serde(default)]
    pub(super) group_info: Option<GroupInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registered {
    pub(super) message_id: Option<String>,
    pub(super) status_code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupInfo {
    pub(super) group_id: String,
    pub(super) count: GroupCount,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupCount {
    #[serde(default)]
    pub(super) registered_success: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    pub(super) error_code: String,
}

/// A page of messages. An empty one has sometimes a list where the others have a map.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    #[serde(default)]
    pub(super) message_list: Option<Messages>,
    #[serde(default)]
    pub(super) next_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Messages {
    ById(HashMap<String, Stored>),
    List(Vec<Stored>),
}

impl Messages {
    pub(super) fn into_vec(self) -> Vec<Stored> {
        match self {
            Self::ById(messages) => messages.into_values().collect(),
            Self::List(messages) => messages,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    pub(super) message_id: String,
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) status_code: Option<String>,
    #[serde(default)]
    pub(super) custom_fields: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(super) date_created: Option<DateTime<Utc>>,
}
