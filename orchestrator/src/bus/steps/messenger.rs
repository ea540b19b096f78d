//! A worker that sends messages.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::wire::{MessageInput, Proof, Reply};
use super::{Asked, EXECUTE, PROBE, Unanswered, ask};
use crate::bus::connection::Broker;
use crate::providers::ports::{Accepted, Answer, Found, KakaoPort, Message, Refusal};

/// How a message goes if its worker does not say.
const CHANNEL: &str = "external";

/// Has the messages of one step sent by whoever answers for it. The key is the message's own id.
#[derive(Debug)]
pub struct Messenger {
    broker: Broker,
    step: &'static str,
    limit: Duration,
}

impl Messenger {
    /// Asks over this broker and waits so long for an answer.
    #[must_use]
    pub fn new(broker: Broker, step: &'static str, limit: Duration) -> Messenger {
        Messenger {
            broker,
            step,
            limit,
        }
    }
}

impl KakaoPort for Messenger {
    fn send(&self, message: Message) -> BoxFuture<'_, Answer<Accepted>> {
        let asked = Asked {
            subject: EXECUTE,
            step: self.step,
            key: message.message_id.to_string(),
            order_id: Some(message.order_id),
            input: MessageInput {
                kind: Some(message.kind),
                phone: message.phone,
                text: Some(message.text),
            },
        };
        async move { answer(ask(&self.broker, asked, self.limit).await) }.boxed()
    }

    fn lookup<'a>(
        &'a self,
        message_id: Uuid,
        phone: Option<&'a str>,
    ) -> BoxFuture<'a, Found<Accepted>> {
        let asked = Asked {
            subject: PROBE,
            step: self.step,
            key: message_id.to_string(),
            order_id: None,
            input: MessageInput {
                kind: None,
                phone: phone.map(str::to_owned),
                text: None,
            },
        };
        async move { found(ask(&self.broker, asked, self.limit).await) }.boxed()
    }
}

fn answer(reply: Result<Reply, Unanswered>) -> Answer<Accepted> {
    match reply {
        Ok(Reply::Done { output }) => Answer::Done(accepted(output)),
        Ok(Reply::Refused { code, reason }) => Answer::Refused(Refusal { code, reason }),
        Ok(Reply::Unknown { reason }) | Err(Unanswered::Unknown(reason)) => Answer::Unknown(reason),
        Ok(Reply::Nothing) => Answer::Unknown("the worker says neither yes nor no".to_owned()),
        Err(Unanswered::NotSent(reason)) => Answer::NotSent(reason),
    }
}

fn found(reply: Result<Reply, Unanswered>) -> Found<Accepted> {
    match reply {
        Ok(Reply::Done { output }) => Found::Done(accepted(output)),
        Ok(Reply::Refused { code, reason }) => Found::Refused(Refusal { code, reason }),
        Ok(Reply::Nothing) => Found::Nothing,
        Ok(Reply::Unknown { reason })
        | Err(Unanswered::Unknown(reason) | Unanswered::NotSent(reason)) => Found::Unknown(reason),
    }
}

fn accepted(proof: Proof) -> Accepted {
    Accepted {
        channel: proof.channel.unwrap_or_else(|| CHANNEL.to_owned()),
        reference: proof.reference,
        template: None,
        fallback: None,
    }
}
