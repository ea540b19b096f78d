//! A message of the view as it is shown.

use aggregates::kakao::Kind;
use aggregates::saga::{Standing, Step};
use chrono::{DateTime, Utc};
use eventstore::Position;
use projections::message::{MessageRow, MessageState};
use serde::Serialize;
use uuid::Uuid;

use crate::http::views::customer::Links;

/// A message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageItem<'a> {
    id: Uuid,
    message_id: Uuid,
    order_id: &'a str,
    customer_id: &'a str,
    kind: Kind,
    /// What it tells of.
    status: &'a str,
    /// What became of it.
    state: MessageState,
    /// Its text as it was sent.
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<&'a str>,
    /// By which way it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<Fallback<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_ref: Option<&'a str>,
    /// Why not, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    /// Why not, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Attempts that it took, once it has come to an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sending: Option<Sending>,
    requested_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    position: Position,
    #[serde(rename = "_links")]
    links: Links,
}

/// The way that the dealer takes by itself where the first one does not reach the customer.
#[derive(Serialize)]
struct Fallback<'a> {
    channel: &'a str,
    /// It is the way that the message went, as far as we were told.
    used: bool,
}

/// What is being done about a message that is neither sent nor given up.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sending {
    attempts: u32,
    /// When it is tried again, or when the attempt under way must have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<DateTime<Utc>>,
    /// Why the last attempt came to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&Step> for Sending {
    fn from(step: &Step) -> Sending {
        let reason = match &step.standing {
            Standing::Backoff { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        Sending {
            attempts: step.attempt,
            next_at: step.timer(),
            reason,
        }
    }
}

impl Sending {
    /// For those who need not know how our providers do.
    pub(super) fn without_reason(self) -> Sending {
        Sending {
            reason: None,
            ..self
        }
    }
}

impl<'a> MessageItem<'a> {
    pub(super) fn new(row: &'a MessageRow, collection: &str) -> MessageItem<'a> {
        let channel = row.channel.as_deref();
        MessageItem {
            id: row.message_id,
            message_id: row.message_id,
            order_id: &row.order_id,
            customer_id: &row.customer_id,
            kind: row.kind,
            status: &row.status,
            state: row.state,
            message: &row.message,
            template: row.template.as_deref(),
            channel,
            fallback: row.fallback.as_deref().map(|way| Fallback {
                channel: way,
                used: channel == Some(way),
            }),
            provider_ref: row.provider_ref.as_deref(),
            code: row.code.as_deref(),
            reason: row.reason.as_deref(),
            attempts: row.attempts,
            sending: None,
            requested_at: row.requested_at,
            sent_at: row.sent_at,
            updated_at: row.updated_at,
            position: row.position,
            links: Links::to(collection, row.message_id),
        }
    }

    /// With what is being done about it.
    pub(super) fn with(self, sending: Option<Sending>) -> MessageItem<'a> {
        MessageItem { sending, ..self }
    }
}
