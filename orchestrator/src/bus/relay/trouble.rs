//! What can be in the relay's way.

use std::error::Error;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    PublishError, PublishErrorKind, RequestError, RequestErrorKind,
};
use eventstore::ReadError;

/// Why the relay does not get on. All of it passes by itself once its cause is gone, except where the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Log(ReadError),
    /// Somebody else has the lease now.
    #[error("the turn has passed to another process")]
    TurnOver,
    /// The connection is another one than before: what the broker knew may be gone.
    #[error("the connection to the broker was made anew")]
    Reconnected,
    /// No answer in time.
    #[error("the broker does not answer")]
    Silent,
    /// The broker answers nothing, because it does not let this process ask or publish.
    #[error("{0}")]
    NotPermitted(String),
    /// The server stores nothing.
    #[error("the broker has no JetStream: start it with one (`nats-server --jetstream`)")]
    NoJetStream,
    /// The server lacks what the relay stands on.
    #[error("the broker is of version {0}; it must be 2.9 or later")]
    TooOld(String),
    /// There is no such stream any more, or none of the servers that keep it leads the others: to what is published, it is the same.
    #[error(
        "nobody takes the events: the stream is gone, or its servers have yet to choose a leader"
    )]
    Gone,
    /// The stream takes no more messages.
    #[error(
        "the stream is full: {0}; raise --events-max-bytes or, if that is none, the broker's own limits, or wait until messages are old enough to go"
    )]
    Full(String),
    /// The last message is not the one before ours: somebody else has published.
    #[error("the stream has moved on without us")]
    Overtaken,
    /// The stream is shorter than what it has acknowledged.
    #[error(
        "the broker has forgotten what it had acknowledged: it was at {acknowledged} and is at {found}"
    )]
    Forgotten { acknowledged: i64, found: u64 },
    /// The stream does not belong to this log.
    #[error("the stream is not a copy of this log: {0}; delete the stream, and it is filled again")]
    Diverged(String),
    /// An event that the broker refuses for its size.
    #[error("the event at position {0} is larger than the broker takes: raise its `max_payload`")]
    TooLarge(i64),
    /// Anything else that the broker says.
    #[error("the broker refuses: {0}")]
    Refused(String),
}

impl Trouble {
    /// A name for metrics and for `/readyz`.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Trouble::Log(_) => "log-unreadable",
            Trouble::TurnOver => "turn-over",
            Trouble::Reconnected => "reconnected",
            Trouble::Silent => "broker-silent",
            Trouble::NotPermitted(_) => "not-permitted",
            Trouble::NoJetStream => "no-jetstream",
            Trouble::TooOld(_) => "broker-too-old",
            Trouble::Gone => "stream-gone",
            Trouble::Full(_) => "stream-full",
            Trouble::Overtaken => "overtaken",
            Trouble::Forgotten { .. } => "forgotten",
            Trouble::Diverged(_) => "diverged",
            Trouble::TooLarge(_) => "event-too-large",
            Trouble::Refused(_) => "refused",
        }
    }

    /// Whether it belongs to life and needs nobody's attention.
    pub(super) fn is_ordinary(&self) -> bool {
        matches!(
            self,
            Trouble::TurnOver | Trouble::Reconnected | Trouble::Overtaken
        )
    }

    /// What JetStream answered.
    pub(super) fn of_answer(error: &jetstream::Error) -> Trouble {
        match error.error_code() {
            ErrorCode::STREAM_NOT_FOUND => Trouble::Gone,
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE
            | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Trouble::Overtaken,
            ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED => Trouble::Full(error.to_string()),
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                Trouble::NoJetStream
            }
            ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::CLUSTER_NOT_LEADER => Trouble::Silent,
            _ => Trouble::Refused(error.to_string()),
        }
    }

    /// Why a question was not answered.
    pub(super) fn of_request(error: &RequestError) -> Trouble {
        match error.kind() {
            RequestErrorKind::NoResponders => Trouble::NoJetStream,
            RequestErrorKind::TimedOut => Trouble::Silent,
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                Trouble::Refused(error.to_string())
            }
        }
    }

    /// Why the event at `position` was not published.
    pub(super) fn of_publish(error: &PublishError, position: i64) -> Trouble {
        match error.kind() {
            PublishErrorKind::StreamNotFound => Trouble::Gone,
            PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence => {
                Trouble::Overtaken
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Trouble::Silent,
            PublishErrorKind::MaxPayloadExceeded => Trouble::TooLarge(position),
            PublishErrorKind::MaxAckPending | PublishErrorKind::Other => error
                .source()
                .and_then(|source| source.downcast_ref::<jetstream::Error>())
                .map_or_else(|| Trouble::Refused(error.to_string()), Trouble::of_answer),
        }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Trouble {
        Trouble::Log(error)
    }
}
