//! Kakao messages to customers; each is an aggregate of its own.

mod decide;
mod draft;
mod event;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use decide::{Action, Command, Dispatch, Notice, Rejection};
pub use draft::{CheckedMessage, MessageDraft};
pub use event::*;

use crate::decider::{Decider, IllegalTransition};
use crate::refusal::Refusal;

/// A message as its stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: Uuid,
    /// The order it is about.
    pub order_id: String,
    /// Whom it is for.
    pub customer_id: String,
    /// What it is for.
    pub kind: Kind,
    /// What it is about, such as `Shipped`: the old services' `status`.
    pub topic: String,
    /// Its text, once an event has said it.
    pub text: Option<String>,
    /// How far it has come.
    pub progress: Progress,
    /// When anything last happened.
    pub updated_at: DateTime<Utc>,
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// To be sent.
    Requested,
    /// With the dealer. Nothing takes it back.
    Sent {
        /// The way it went.
        channel: String,
        /// The dealer's reference.
        provider_ref: Option<String>,
    },
    /// Not sent, for good.
    Failed(Refusal),
    /// Not to be sent.
    Suppressed {
        /// Why.
        reason: String,
    },
}

impl Progress {
    /// The word on the wire: the name of the event that led here.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Requested => MessageRequested::NAME,
            Self::Sent { .. } => SentMessage::NAME,
            Self::Failed(_) => MessageFailed::NAME,
            Self::Suppressed { .. } => MessageSuppressed::NAME,
        }
    }
}

impl Decider for Message {
    /// `None` until somebody wants it sent, or it was.
    type State = Option<Message>;
    type Command = Command;
    type Event = KakaoEvent;
    type Rejection = Rejection;

    fn decide(state: &Option<Message>, command: &Command) -> Result<Vec<KakaoEvent>, Rejection> {
        decide::decide(state.as_ref(), command)
    }

    fn evolve(
        state: Option<Message>,
        event: &KakaoEvent,
    ) -> Result<Option<Message>, IllegalTransition> {
        let progress = state.as_ref().map(|message| &message.progress);
        // Only what was sent is final: a sender that had been frozen may wake after others had given the message up, and then it is
        // tried again.
        let fits = !matches!(progress, Some(Progress::Sent { .. }));
        let (kind, text, next) = match event {
            KakaoEvent::MessageRequested(asked) => {
                (asked.kind, Some(&asked.message), Progress::Requested)
            }
            KakaoEvent::SentMessage(sent) => {
                let (channel, provider_ref) = (sent.channel.clone(), sent.provider_ref.clone());
                (
                    sent.kind,
                    Some(&sent.message),
                    Progress::Sent {
                        channel,
                        provider_ref,
                    },
                )
            }
            KakaoEvent::MessageFailed(failed) => (
                failed.kind,
                None,
                Progress::Failed(Refusal::new(&failed.code, &failed.reason)),
            ),
            KakaoEvent::MessageSuppressed(suppressed) => (
                suppressed.kind,
                None,
                Progress::Suppressed {
                    reason: suppressed.reason.clone(),
                },
            ),
        };
        if !fits {
            let state = progress.map_or("nothing", Progress::as_str);
            return Err(IllegalTransition {
                aggregate: "message",
                state,
                event: event.name(),
            });
        }
        let head = event.head();
        Ok(Some(Message {
            id: head.id,
            order_id: head.order_id.as_deref().unwrap_or_default().to_owned(),
            customer_id: head.customer_id.to_owned(),
            kind,
            topic: head.status.to_owned(),
            text: text
                .cloned()
                .or_else(|| state.and_then(|message| message.text)),
            progress: next,
            updated_at: head.occurred_at,
        }))
    }
}
