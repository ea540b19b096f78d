//! Direct messages: one message, one saga of one step, both with the message's id.

use std::time::Duration;

use aggregates::kakao::{Action, CheckedMessage, Command, Kind, Message, Notice, Rejection};
use aggregates::saga::SagaEvent;
use aggregates::{Decider, Event, codec, ids};
use chrono::{DateTime, Utc};
use eventstore::{Expected, StreamAppend};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use uuid::Uuid;

use super::Fulfilment;
use super::limits::Limits;
use super::outputs::SentOutput;
use super::participants::{self, Participants};
use super::personal::Details;
use super::steps::SEND;
use crate::execute::{Aggregate, FoldError, LoadError, Versioned, to_stream};
use crate::saga::definition::{Call, Definition, Outcome, Probe, RecordError, Saga, Transition};
use crate::saga::engine::StartError;
use crate::saga::history::History;
use crate::saga::plan::NOT_DONE;
use crate::saga::step::{Class, OnRefusal, StepSpec};

/// The name its instances carry in the log.
pub const NAME: &str = "message";

/// Sends one message.
pub struct MessageSaga {
    definition: Definition,
    participants: Participants,
}

impl MessageSaga {
    pub(super) fn new(limits: &Limits, participants: Participants) -> Self {
        let send = StepSpec::call(SEND, Class::Retriable)
            .time_limit(limits.call)
            .retry(limits.retry_first, limits.retry_cap)
            .concurrency(limits.concurrency)
            .unkeyed()
            .on_refusal(OnRefusal::Accept)
            .give_up_after(limits.message_budget);
        let definition = Definition {
            forward: vec![send],
            branches: Vec::new(),
            unwind: Vec::new(),
        };
        Self {
            definition,
            participants,
        }
    }

    async fn send(&self, call: &Call) -> Outcome {
        let message = match message(&call.history) {
            Ok(Some(message)) => message,
            Ok(None) => {
                return Outcome::NotSent {
                    reason: "there is no such message".into(),
                };
            }
            Err(error) => {
                return Outcome::NotSent {
                    reason: error.to_string(),
                };
            }
        };
        let message = participants::message(notice(message), Details::default());
        let answer = self.participants.providers.kakao.send(message).await;
        let outcome = participants::to_outcome(answer);
        self.participants.guards.learn(SEND, &outcome);
        outcome
    }
}

impl Saga for MessageSaga {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        1
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        self.send(call).boxed()
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        let kakao = &self.participants.providers.kakao;
        async move { participants::to_probe(kakao.lookup(call.saga_id).await) }.boxed()
    }

    fn record(
        &self,
        history: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        record(history, transition)
    }

    fn paused_until(&self, step: &str) -> Option<DateTime<Utc>> {
        self.participants.paused_until(step)
    }
}

/// The domain events of one transition. Pure.
fn record(
    history: &History,
    transition: &Transition<'_>,
) -> Result<Vec<StreamAppend>, RecordError> {
    let actions: Vec<_> = transition.events.iter().filter_map(action).collect();
    if actions.is_empty() {
        return Ok(Vec::new());
    }
    let to_error = |error: &dyn std::fmt::Display| RecordError {
        reason: error.to_string(),
    };
    let mut state = message(history).map_err(|error| to_error(&error))?;
    let mut events = Vec::new();
    for action in actions {
        let Some(known) = state.clone() else { break };
        let command = Command {
            notice: notice(known),
            at: transition.at,
            action,
        };
        for event in Message::decide(&state, &command).map_err(|error| to_error(&error))? {
            state = Message::evolve(state, &event).map_err(|error| to_error(&error))?;
            events.push(event);
        }
    }
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let id = transition.saga_id;
    Ok(vec![to_stream(
        Message::CATEGORY,
        id,
        history.expected(&Message::CATEGORY),
        events,
        id,
    )])
}

fn action(event: &SagaEvent) -> Option<Action> {
    let sent = |output: &Value| {
        // A person's word need not name the channel.
        let sent = serde_json::from_value::<SentOutput>(output.clone()).ok();
        let sent = sent.unwrap_or_else(|| SentOutput {
            channel: "unknown".to_owned(),
            reference: None,
        });
        let (channel, provider_ref) = (sent.channel, sent.reference);
        Action::RecordSent {
            channel,
            provider_ref,
        }
    };
    let failed = |code: &str, reason: &str| Action::RecordFailure {
        code: code.to_owned(),
        reason: reason.to_owned(),
    };
    match event {
        SagaEvent::StepDone(done) => Some(sent(&done.output)),
        SagaEvent::StepRefused(refused) if refused.code == NOT_DONE => Some(Action::Suppress {
            reason: refused.reason.clone(),
        }),
        SagaEvent::StepRefused(refused) => Some(failed(&refused.code, &refused.reason)),
        SagaEvent::StepResolved(resolved) => Some(match resolved.outcome {
            aggregates::saga::Verdict::Done => sent(&resolved.evidence),
            aggregates::saga::Verdict::Undone => failed("resolved-undone", &resolved.reason),
        }),
        SagaEvent::StepSkipped(skipped) => Some(Action::Suppress {
            reason: skipped.reason.clone(),
        }),
        _ => None,
    }
}

fn message(history: &History) -> Result<Option<Message>, FoldError> {
    history
        .of(&Message::CATEGORY)
        .try_fold(None, |state, event| {
            match codec::decode(&event.event_type, event.schema_version, &event.data)? {
                Event::Kakao(event) => Ok(Message::evolve(state, &event)?),
                _ => Ok(state),
            }
        })
}

fn notice(message: Message) -> Notice {
    Notice {
        id: message.id,
        order_id: message.order_id,
        customer_id: message.customer_id,
        kind: message.kind,
        topic: message.topic,
        text: message.text.unwrap_or_default(),
    }
}

/// A message somebody wants sent.
#[derive(Debug, Clone)]
pub struct SendMessage {
    /// What to send to whom.
    pub message: CheckedMessage,
    /// Who sends the command.
    pub principal: String,
    /// Under which idempotency key; without one every command is a new message.
    pub key: Option<String>,
}

/// What became of the command.
#[derive(Debug, Clone, PartialEq)]
pub enum SendAnswer {
    /// It is recorded and will be sent; a repeat finds it as it is now.
    Recorded(Box<Versioned<Message>>),
    /// The key stands for another message.
    KeyReused {
        /// That message.
        message_id: Uuid,
    },
}

/// Why a message is not known to be recorded.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The store is away.
    #[error("the message cannot be stored")]
    StoreUnavailable {
        /// When to come again.
        retry_after: Duration,
        /// What the store said.
        #[source]
        source: StartError,
    },
    /// It cannot be read back.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It contradicts what is on record.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Fulfilment {
    /// Records a message; a saga of its own sends it.
    pub async fn send_message(&self, command: SendMessage) -> Result<SendAnswer, SendError> {
        let SendMessage {
            message,
            principal,
            key,
        } = command;
        let occurrence = match key {
            Some(key) => format!(
                "{}:{principal}:{}:{key}",
                principal.len(),
                message.customer_id
            ),
            None => Uuid::now_v7().to_string(),
        };
        let id = ids::message_id(&message.order_id, Kind::Direct, &occurrence);
        let notice = Notice {
            id,
            order_id: message.order_id,
            customer_id: message.customer_id,
            kind: Kind::Direct,
            topic: message.status,
            text: message.message,
        };
        let command = Command {
            notice: notice.clone(),
            at: Utc::now(),
            action: Action::Request,
        };
        let events = Message::decide(&None, &command)?;
        let requested = to_stream(Message::CATEGORY, id, Expected::NoStream, events, id);
        match self
            .engine
            .start(NAME, id, Value::Null, vec![requested])
            .await
        {
            Ok(_) | Err(StartError::Exists) => {}
            Err(source) => {
                let retry_after = Duration::from_secs(1);
                return Err(SendError::StoreUnavailable {
                    retry_after,
                    source,
                });
            }
        }
        let recorded = self.message(id).await?;
        Ok(match recorded {
            Some(recorded) if same(&recorded.value, &notice) => {
                SendAnswer::Recorded(Box::new(recorded))
            }
            _ => SendAnswer::KeyReused { message_id: id },
        })
    }
}

fn same(recorded: &Message, wanted: &Notice) -> bool {
    recorded.text.as_ref() == Some(&wanted.text) && recorded.topic == wanted.topic
}
