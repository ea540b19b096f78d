//! What can be recorded about a message, and what is refused.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    KakaoEvent, Kind, Message, MessageFailed, MessageRequested, MessageSuppressed, Progress,
    SentMessage,
};
use crate::instant::to_millis;

/// Something about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The message.
    pub notice: Notice,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub action: Action,
}

/// What a message is, whatever becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its id: [`crate::ids::message_id`].
    pub id: Uuid,
    /// The order it is about.
    pub order_id: String,
    /// Whom it is for.
    pub customer_id: String,
    /// What it is for.
    pub kind: Kind,
    /// What it is about, such as `Shipped`: the old services' `status`.
    pub topic: String,
    /// Its text.
    pub text: String,
}

impl Notice {
    /// The old services' message about a parcel on its way.
    pub fn shipped(id: Uuid, order_id: String, customer_id: String) -> Self {
        let text = format!("{order_id} {customer_id} Shipped...");
        Self {
            id,
            order_id,
            customer_id,
            kind: Kind::Shipped,
            topic: "Shipped".to_owned(),
            text,
        }
    }

    /// The message about a cancelled order; `refund` is what goes back, written for people.
    pub fn canceled(id: Uuid, order_id: String, customer_id: String, refund: Option<&str>) -> Self {
        let money = refund
            .map(|refund| format!(" {refund} refunded."))
            .unwrap_or_default();
        let text = format!("{order_id} {customer_id} Canceled.{money}");
        Self {
            id,
            order_id,
            customer_id,
            kind: Kind::Canceled,
            topic: "OrderCanceled".to_owned(),
            text,
        }
    }
}

/// What is wanted or has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Somebody wants it sent.
    Request,
    /// It was suppressed, and is wanted after all.
    RequestAgain,
    /// The dealer took it.
    RecordSent(Dispatch),
    /// It will not be sent.
    RecordFailure {
        /// The dealer's or our word for why.
        code: String,
        /// A sentence for people.
        reason: String,
        /// Attempts that were made, if anybody counted.
        attempts: Option<u32>,
    },
    /// Nobody should get it any more.
    Suppress {
        /// A sentence for people.
        reason: String,
    },
}

/// How a message went out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// The way it went, such as `alimtalk`.
    pub channel: String,
    /// The dealer's reference, if it gave one.
    pub provider_ref: Option<String>,
    /// The dealer's template that it was made from, if it has any.
    pub template: Option<String>,
    /// The way the dealer takes by itself where the first one does not reach the customer.
    pub fallback: Option<String>,
    /// Attempts that it took, if anybody counted.
    pub attempts: Option<u32>,
}

/// Why something is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The dealer has it; nothing takes it back.
    #[error("the message was sent")]
    AlreadySent,
    /// It failed for good, or nobody should get it.
    #[error("the message will not be sent")]
    AlreadyEnded,
    /// The id already stands for another text.
    #[error("the message's id was used for another message")]
    Different,
}

pub(super) fn decide(
    state: Option<&Message>,
    command: &Command,
) -> Result<Vec<KakaoEvent>, Rejection> {
    let progress = state.map(|message| &message.progress);
    match (&command.action, progress) {
        (Action::Request, None) => Ok(vec![requested(command)]),
        (Action::Request, Some(_)) => match state.and_then(|message| message.text.as_ref()) {
            Some(text) if *text != command.notice.text => Err(Rejection::Different),
            _ => Ok(vec![]),
        },
        (Action::RequestAgain, None | Some(Progress::Suppressed { .. })) => {
            Ok(vec![requested(command)])
        }
        (Action::RequestAgain, Some(Progress::Requested)) => Ok(vec![]),
        (Action::RequestAgain, Some(Progress::Failed(_))) => Err(Rejection::AlreadyEnded),
        (Action::RequestAgain, Some(Progress::Sent { .. })) => Err(Rejection::AlreadySent),
        (Action::RecordSent(_), Some(Progress::Sent { .. })) => Ok(vec![]),
        // A send that was under way when the message failed or was suppressed is a fact all the
        // same.
        (Action::RecordSent(dispatch), _) => Ok(vec![sent(command, dispatch)]),
        (Action::RecordFailure { .. } | Action::Suppress { .. }, Some(Progress::Sent { .. })) => {
            Err(Rejection::AlreadySent)
        }
        (Action::RecordFailure { .. }, Some(Progress::Failed(_))) => Ok(vec![]),
        (Action::Suppress { .. }, Some(Progress::Suppressed { .. })) => Ok(vec![]),
        (Action::RecordFailure { .. }, Some(Progress::Suppressed { .. }))
        | (Action::Suppress { .. }, Some(Progress::Failed(_))) => Err(Rejection::AlreadyEnded),
        (
            Action::RecordFailure {
                code,
                reason,
                attempts,
            },
            None | Some(Progress::Requested),
        ) => Ok(vec![failed(command, code, reason, *attempts)]),
        (Action::Suppress { reason }, None | Some(Progress::Requested)) => {
            Ok(vec![suppressed(command, reason)])
        }
    }
}

fn requested(command: &Command) -> KakaoEvent {
    let notice = command.notice.clone();
    MessageRequested {
        id: notice.id,
        order_id: notice.order_id,
        customer_id: notice.customer_id,
        status: notice.topic,
        occurred_at: to_millis(command.at),
        kind: notice.kind,
        message: notice.text,
    }
    .into()
}

fn sent(command: &Command, dispatch: &Dispatch) -> KakaoEvent {
    let notice = command.notice.clone();
    let dispatch = dispatch.clone();
    SentMessage {
        id: notice.id,
        order_id: notice.order_id,
        customer_id: notice.customer_id,
        status: notice.topic,
        occurred_at: to_millis(command.at),
        kind: notice.kind,
        message: notice.text,
        channel: dispatch.channel,
        provider_ref: dispatch.provider_ref,
        template: dispatch.template,
        fallback: dispatch.fallback,
        attempts: dispatch.attempts,
    }
    .into()
}

fn failed(command: &Command, code: &str, reason: &str, attempts: Option<u32>) -> KakaoEvent {
    let notice = command.notice.clone();
    MessageFailed {
        id: notice.id,
        order_id: notice.order_id,
        customer_id: notice.customer_id,
        status: notice.topic,
        occurred_at: to_millis(command.at),
        kind: notice.kind,
        code: code.to_owned(),
        reason: reason.to_owned(),
        attempts,
    }
    .into()
}

fn suppressed(command: &Command, reason: &str) -> KakaoEvent {
    let notice = command.notice.clone();
    MessageSuppressed {
        id: notice.id,
        order_id: notice.order_id,
        customer_id: notice.customer_id,
        status: notice.topic,
        occurred_at: to_millis(command.at),
        kind: notice.kind,
        reason: reason.to_owned(),
    }
    .into()
}
