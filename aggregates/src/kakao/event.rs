//! What is recorded on `kakao-M`.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{Head, events};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The parcel is on its way.
    Shipped,
    /// The order is canceled, and what happens to the money.
    Canceled,
    /// Whatever a caller of `POST /kakaos` has to say.
    Direct,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Shipped, Self::Canceled, Self::Direct];

    /// The word for it in events, ids and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Canceled => "canceled",
            Self::Direct => "direct",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

events! {
    /// What happens to a message.
    KakaoEvent is Kakao
    every {
        /// The message, and the id of its stream.
        id: Uuid,
        /// The order it is about: for a direct message whatever the caller calls it.
        order_id: String,
        /// Whom it is for.
        customer_id: String,
        /// What it is about, such as `Shipped`: the old services' `status`.
        status: String,
        /// When it happened, to the millisecond.
        #[serde(deserialize_with = "crate::instant::deserialize")]
        occurred_at: DateTime<Utc>,
    }
    head(name, event) {
        Head {
            event_type: name,
            timestamp: event.occurred_at,
            id: event.id,
            order_id: Some(Cow::Borrowed(&event.order_id)),
            customer_id: &event.customer_id,
            status: &event.status,
            occurred_at: event.occurred_at,
        }
    }

    /// Somebody wants it sent.
    MessageRequested v 1 {
        /// What it is for.
        kind: Kind,
        /// Its text.
        message: String,
    }
    /// The dealer has taken it.
    SentMessage v 1 {
        /// What it is for.
        kind: Kind,
        /// Its text.
        message: String,
        /// The way it went, such as `alimtalk`.
        channel: String,
        /// The dealer's reference, if it gave one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_ref: Option<String>,
        /// The dealer's template that it was made from, if it has any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<String>,
        /// The way the dealer takes by itself where the first one does not reach the customer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback: Option<String>,
        /// Attempts that it took, this one included; what was written earlier does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempts: Option<u32>,
    }
    /// It will not be sent: refused for good, or its time ran out.
    MessageFailed v 1 {
        /// What it is for.
        kind: Kind,
        /// The dealer's or our word for why.
        code: String,
        /// A sentence for people.
        reason: String,
        /// Attempts that were made; what was written earlier does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempts: Option<u32>,
    }
    /// Nobody should get it any more, such as a shipping notice of a canceled order.
    MessageSuppressed v 1 {
        /// What it is for.
        kind: Kind,
        /// A sentence for people.
        reason: String,
    }
}
