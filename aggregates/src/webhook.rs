//! What a provider told us of its own accord: that a call came, and what it was about. Nothing of it is believed, so
//! nothing else of it is kept, and one event is all that ever stands on such a stream.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// A webhook was taken in. Its stream is named after the delivery, so that a repeat of it finds the stream there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookReceived {
    /// What kind of provider called: `payments`, `deliveries` or `kakao`.
    pub port: String,
    /// Which one, such as `toss`.
    pub provider: String,
    /// The provider's name for this delivery, or a digest of what it said.
    pub delivery_id: String,
    /// The provider's word for what happened, such as `PAYMENT_STATUS_CHANGED`.
    pub topic: String,
    /// What it says has become of it, in the provider's words, such as `DONE`. A claim, never a fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What it is about, in the provider's words: an order's number or a parcel's.
    pub subject: Option<String>,
    /// The saga that was told, where one was found at once.
    pub saga_id: Option<Uuid>,
    /// When.
    #[serde(
        serialize_with = "crate::instant::serialize",
        deserialize_with = "crate::instant::deserialize"
    )]
    pub at: DateTime<Utc>,
}

impl WebhookReceived {
    /// The event's name in the log.
    pub const NAME: &'static str = "WebhookReceived";

    /// Name and newest schema version of each event of these streams.
    pub const TYPES: &'static [(&'static str, i16)] = &[(Self::NAME, 1)];

    pub(crate) fn encode(&self) -> Result<(i16, Box<RawValue>), serde_json::Error> {
        Ok((1, to_raw_value(self)?))
    }

    /// Reads the newest version; `None` if the name is of no event here.
    pub(crate) fn read(name: &str, json: &str) -> Option<serde_json::Result<Self>> {
        (name == Self::NAME).then(|| serde_json::from_str(json))
    }
}
