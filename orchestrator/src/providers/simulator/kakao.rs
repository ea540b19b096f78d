//! The message dealer: unkeyed, so every send is a message of its own, but a message can be looked up by our id.

use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::call::{Ask, Reply};
use super::ledger::{Op, Port};
use super::{Simulator, lock};
use crate::providers::ports::{Accepted, Answer, Found, KakaoPort, Message};

/// The channel that the simulated dealer delivers by.
const CHANNEL: &str = "alimtalk";

impl KakaoPort for Simulator {
    fn send(&self, message: Message) -> BoxFuture<'_, Answer<Accepted>> {
        async move {
            let key = message.message_id.to_string();
            let fault = lock(&self.core.faults).next(Port::Kakao, Op::Send, &key);
            let ask = Ask {
                kind: Some(message.kind),
                ..Ask::new(Port::Kakao, Op::Send, key, message.order_id)
            };
            self.core.call(ask, fault).await.map(accepted)
        }
        .boxed()
    }

    fn lookup<'a>(
        &'a self,
        message_id: Uuid,
        _phone: Option<&'a str>,
    ) -> BoxFuture<'a, Found<Accepted>> {
        async move {
            let key = message_id.to_string();
            self.core
                .lookup(Port::Kakao, Op::Send, "", &key)
                .await
                .map(accepted)
        }
        .boxed()
    }
}

fn accepted(reply: Reply) -> Accepted {
    Accepted {
        channel: CHANNEL.to_owned(),
        reference: reply.result.unwrap_or_default(),
        template: None,
        fallback: None,
    }
}
