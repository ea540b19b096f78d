//! Direct messages: one message, one saga of one step, both with the message's id.

use std::time::Duration;

use aggregates::kakao::{Action, CheckedMessage, Command, Kind, Message, Notice, Rejection};
use aggregates::order::Order;
use aggregates::saga::{SagaEvent, State};
use aggregates::{Decider, Event, codec, ids};
use chrono::{DateTime, Utc};
use eventstore::{AppendError, EventStore, Expected, StreamAppend};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use uuid::Uuid;

use super::Fulfilment;
use super::limits::Limits;
use super::outputs::SentOutput;
use super::participants::{self, Participants, Unsent};
use super::personal::{self, Details, Need};
use super::steps::{NOTIFY, SEND, TELL};
use crate::execute::{Aggregate, FoldError, LoadError, Versioned, load, to_stream};
use crate::lineage::{TraceParent, traced};
use crate::saga::definition::{Call, Definition, Outcome, Probe, RecordError, Saga, Transition};
use crate::saga::engine::StartError;
use crate::saga::history::History;
use crate::saga::plan::NOT_DONE;
use crate::saga::preflight::Known;
use crate::saga::step::{Class, OnRefusal, StepSpec};

/// The name its instances carry in the log.
pub const NAME: &str = "message";

/// The version its instances carry in the log.
const VERSION: u32 = 1;

/// Sends one message.
pub struct MessageSaga {
    definition: Definition,
    participants: Participants,
    store: EventStore,
}

impl MessageSaga {
    pub(super) fn new(limits: &Limits, participants: Participants, store: EventStore) -> Self {
        Self {
            definition: definition(limits),
            participants,
            store,
        }
    }

    async fn send(&self, call: &Call) -> Outcome {
        let (message, details) = match self.addressed(call).await {
            Ok(addressed) => addressed,
            Err(Unsent(reason)) => return Outcome::NotSent { reason },
        };
        let message = participants::message(notice(message), details);
        let kakao = self.participants.providers.messenger(call.step);
        let send = async move { participants::to_outcome(kakao.send(message).await) };
        self.participants.guards.execute(call, send).await
    }

    async fn look_up(&self, call: &Call) -> Probe {
        let (message, details) = match self.addressed(call).await {
            Ok(addressed) => addressed,
            Err(Unsent(reason)) => return Probe::Unknown { reason },
        };
        let kakao = self.participants.providers.messenger(call.step);
        let look = async move { participants::look_up(kakao.as_ref(), message.id, &details).await };
        self.participants.guards.probe(call, look).await
    }

    /// The message, and the number under which its customer can be reached: the one that the order names, if it is about an
    /// order of that customer.
    async fn addressed(&self, call: &Call) -> Result<(Message, Details), Unsent> {
        let message = message(&call.history)?;
        let message = message.ok_or_else(|| Unsent("there is no such message".into()))?;
        let order = match Uuid::try_parse(&message.order_id) {
            Ok(id) => load::<Order>(&self.store, id).await?.value,
            Err(_) => None,
        };
        let details = match order.filter(|order| order.customer_id == message.customer_id) {
            Some(order) => personal::unseal(&self.participants.vault, &order, Need::Phone).await?,
            None => Details::default(),
        };
        Ok((message, details))
    }
}

fn definition(limits: &Limits) -> Definition {
    let send = StepSpec::call(SEND, Class::Retriable)
        .time_limit(limits.call)
        .retry(limits.retry_first, limits.retry_cap)
        .concurrency(limits.steps)
        .unkeyed()
        .on_refusal(OnRefusal::Accept)
        .give_up_after(limits.message_budget);
    Definition {
        forward: vec![send],
        branches: Vec::new(),
        unwind: Vec::new(),
    }
}

/// What can be told of it without anybody behind it.
pub(super) fn known(limits: &Limits) -> Known {
    Known {
        name: NAME,
        version: VERSION,
        definition: definition(limits),
        reads: |history| message(history).map(drop).map_err(RecordError::of),
    }
}

impl Saga for MessageSaga {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        self.send(call).boxed()
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        self.look_up(call).boxed()
    }

    fn record(
        &self,
        history: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        record(history, transition)
    }

    fn paused_until(&self, saga_id: Uuid, step: &'static str) -> Option<DateTime<Utc>> {
        self.participants.guards.paused_until((saga_id, step))
    }
}

/// The domain events of one transition. Pure.
fn record(
    history: &History,
    transition: &Transition<'_>,
) -> Result<Vec<StreamAppend>, RecordError> {
    let attempts = attempts(transition.after, SEND);
    let actions = transition.events.iter();
    let actions: Vec<_> = actions
        .filter_map(|event| action(event, attempts))
        .collect();
    if actions.is_empty() {
        return Ok(Vec::new());
    }
    let mut state = message(history).map_err(RecordError::of)?;
    let mut events = Vec::new();
    for action in actions {
        let Some(known) = state.clone() else { break };
        let command = Command {
            notice: notice(known),
            at: transition.at,
            action,
        };
        for event in Message::decide(&state, &command).map_err(RecordError::of)? {
            state = Message::evolve(state, &event).map_err(RecordError::of)?;
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

/// Which saga sends a message, and at which step.
#[must_use]
pub fn sender(kind: Kind, order_id: &str, message_id: Uuid) -> Option<(Uuid, &'static str)> {
    let order = || Uuid::try_parse(order_id).ok();
    match kind {
        Kind::Shipped => Some((order()?, NOTIFY)),
        Kind::Canceled => Some((order()?, TELL)),
        Kind::Direct => Some((message_id, SEND)),
    }
}

/// How often a message was tried, whoever decided it in the end.
pub(super) fn attempts(state: &State, step: &str) -> Option<u32> {
    let attempts = state.step(step)?.attempt;
    (attempts > 0).then_some(attempts)
}

fn action(event: &SagaEvent, attempts: Option<u32>) -> Option<Action> {
    let sent = |output: &Value| {
        let sent = serde_json::from_value::<SentOutput>(output.clone()).ok();
        let sent = sent.unwrap_or_else(SentOutput::unknown);
        Action::RecordSent(sent.dispatch(attempts))
    };
    let failed = |code: &str, reason: &str| Action::RecordFailure {
        code: code.to_owned(),
        reason: reason.to_owned(),
        attempts,
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
    /// The trace it is part of.
    pub trace: Option<TraceParent>,
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
    /// It may be recorded, and then it is sent. Only for a command without a key: whoever has one sends the same again.
    InDoubt {
        /// The message, if it is.
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
            trace,
        } = command;
        let has_key = key.is_some();
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
        let requested = traced(requested, trace.as_ref());
        match self
            .engine
            .start(NAME, id, Value::Null, vec![requested])
            .await
        {
            Ok(_) | Err(StartError::Exists) => {}
            // Not knowing whether it was stored is no reason to say that it was not: it is looked for.
            Err(StartError::Append(AppendError::Unknown)) if !has_key => {}
            Err(source) => {
                let retry_after = Duration::from_secs(1);
                return Err(SendError::StoreUnavailable {
                    retry_after,
                    source,
                });
            }
        }
        let recorded = match self.message(id).await {
            Err(_) if !has_key => return Ok(SendAnswer::InDoubt { message_id: id }),
            read => read?,
        };
        Ok(match recorded {
            None if !has_key => SendAnswer::InDoubt { message_id: id },
            Some(recorded) if same(&recorded.value, &notice) => {
                SendAnswer::Recorded(Box::new(recorded))
            }
            _ => SendAnswer::KeyReused { message_id: id },
        })
    }
}

/// Two commands that are not the same may come to one id: not all of its parts are told apart in it, and ids stay what they are.
fn same(recorded: &Message, wanted: &Notice) -> bool {
    recorded.order_id == wanted.order_id
        && recorded.customer_id == wanted.customer_id
        && recorded.text.as_ref() == Some(&wanted.text)
        && recorded.topic == wanted.topic
}
