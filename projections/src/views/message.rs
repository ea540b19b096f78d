//! The message view: one row per message, with its text and what became of it.

use aggregates::Event;
use aggregates::kakao::{KakaoEvent, Kind};
use chrono::{DateTime, Utc};
use eventstore::Position;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::projection::{ApplyError, Facts, Keys, Projection};
use crate::table::{Column, Index, Kind as ColumnKind, Rows, TableDef, Value};

/// One message to a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRow {
    /// The message.
    pub message_id: Uuid,
    /// The order it is about: any string, a caller of `POST /kakaos` may send about orders that are not ours.
    pub order_id: String,
    /// Whom it goes to.
    pub customer_id: String,
    /// What it is for.
    pub kind: Kind,
    /// The status that the message tells of, as in the old services (`Shipped`).
    pub status: String,
    /// What became of the message.
    pub state: MessageState,
    /// Its text.
    pub message: String,
    /// How it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The dealer's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
    /// The dealer's template that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The channel that the dealer takes by itself where the first one does not reach the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Attempts that it took, once it has come to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Code of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it failed or was suppressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the dealer took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<DateTime<Utc>>,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
    /// The place in the log of the event that changed this row last.
    #[serde(default)]
    pub position: Position,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MessageState {
    /// Asked for, not yet taken by a dealer.
    Requested,
    /// A dealer has taken it.
    Sent,
    /// Given up.
    Failed,
    /// Not wanted any more before it was sent.
    Suppressed,
}

impl MessageState {
    /// The name on the wire and in the filter column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
        }
    }
}

/// The message view.
#[derive(Debug)]
pub struct MessageView;

impl Projection for MessageView {
    type Row = MessageRow;

    const TABLE: &'static TableDef = &TableDef {
        view: "message",
        version: 2,
        columns: &[
            Column {
                name: "customer_id",
                kind: ColumnKind::Text,
            },
            Column {
                name: "order_id",
                kind: ColumnKind::Text,
            },
            Column {
                name: "status",
                kind: ColumnKind::Text,
            },
            Column {
                name: "state",
                kind: ColumnKind::Text,
            },
            Column {
                name: "kind",
                kind: ColumnKind::Text,
            },
            Column {
                name: "requested_at",
                kind: ColumnKind::Int,
            },
        ],
        indexes: &[
            // Messages to one customer.
            Index {
                column: "customer_id",
                rows: Rows::All,
            },
            // Messages about one order.
            Index {
                column: "order_id",
                rows: Rows::All,
            },
            // What did not go out.
            Index {
                column: "state",
                rows: Rows::Except("sent"),
            },
            // What is not about a parcel on its way.
            Index {
                column: "status",
                rows: Rows::Except("Shipped"),
            },
            Index {
                column: "kind",
                rows: Rows::Except("shipped"),
            },
            // Lists of a stretch of time.
            Index {
                column: "requested_at",
                rows: Rows::All,
            },
        ],
    };

    const CATEGORIES: &'static [&'static str] = &["kakao"];

    fn keys(_: &Event, facts: &Facts<'_>) -> Keys {
        Keys::One(facts.stream)
    }

    fn apply(
        _: Uuid,
        row: &mut Option<MessageRow>,
        event: &Event,
        facts: &Facts<'_>,
    ) -> Result<(), ApplyError> {
        let Event::Kakao(event) = event else {
            return Err(ApplyError::Foreign);
        };
        let row = row.get_or_insert_with(|| asked_for(event, facts));
        row.updated_at = event.occurred_at();
        row.position = facts.position;
        match event {
            KakaoEvent::MessageRequested(event) => {
                row.state = MessageState::Requested;
                row.message.clone_from(&event.message);
                row.code = None;
                row.reason = None;
            }
            KakaoEvent::SentMessage(event) => {
                row.state = MessageState::Sent;
                row.message.clone_from(&event.message);
                row.channel = Some(event.channel.clone());
                row.provider_ref.clone_from(&event.provider_ref);
                row.template.clone_from(&event.template);
                row.fallback.clone_from(&event.fallback);
                row.attempts = event.attempts;
                row.sent_at = Some(event.occurred_at);
                row.code = None;
                row.reason = None;
            }
            KakaoEvent::MessageFailed(event) => {
                row.state = MessageState::Failed;
                row.attempts = event.attempts;
                row.code = Some(event.code.clone());
                row.reason = Some(event.reason.clone());
            }
            KakaoEvent::MessageSuppressed(event) => {
                row.state = MessageState::Suppressed;
                row.reason = Some(event.reason.clone());
            }
        }
        Ok(())
    }

    fn columns(row: &MessageRow) -> Vec<Value<'_>> {
        vec![
            Value::text(row.customer_id.as_str()),
            Value::text(row.order_id.as_str()),
            Value::text(row.status.as_str()),
            Value::text(row.state.as_str()),
            Value::text(row.kind.as_str()),
            Value::Int(Some(row.requested_at.timestamp_millis())),
        ]
    }

    fn is_settled(row: &MessageRow) -> bool {
        row.state != MessageState::Requested
    }
}

/// A message that was suppressed before anybody asked for it has no text.
fn asked_for(event: &KakaoEvent, facts: &Facts<'_>) -> MessageRow {
    let kind = match event {
        KakaoEvent::MessageRequested(event) => event.kind,
        KakaoEvent::SentMessage(event) => event.kind,
        KakaoEvent::MessageFailed(event) => event.kind,
        KakaoEvent::MessageSuppressed(event) => event.kind,
    };
    let head = event.head();
    MessageRow {
        message_id: facts.stream,
        order_id: head.order_id.unwrap_or_default().into_owned(),
        customer_id: head.customer_id.to_owned(),
        kind,
        status: head.status.to_owned(),
        state: MessageState::Requested,
        message: String::new(),
        channel: None,
        provider_ref: None,
        template: None,
        fallback: None,
        attempts: None,
        code: None,
        reason: None,
        requested_at: head.occurred_at,
        sent_at: None,
        updated_at: head.occurred_at,
        position: facts.position,
    }
}
