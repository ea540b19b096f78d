//! What is said about a delivery.

use std::time::Duration;

use async_nats::Request;
use async_nats::jetstream::{AckKind, Message};

/// One delivery.
#[derive(Debug)]
pub(in crate::bus) struct Receipt(Message);

impl Receipt {
    pub(super) fn new(message: Message) -> Self {
        Self(message)
    }

    pub(in crate::bus) async fn ack(self) -> bool {
        self.is_heard(AckKind::Ack).await
    }

    pub(in crate::bus) async fn beat(&self) -> bool {
        self.0.ack_with(AckKind::Progress).await.is_ok()
    }

    pub(in crate::bus) async fn later(self, delay: Duration) -> bool {
        let later = AckKind::Nak(Some(delay).filter(|delay| !delay.is_zero()));
        self.is_heard(later).await
    }

    /// Whether the consumer has answered. The client's own way to wait for that takes the broker's word that there is no such consumer
    /// any more for an answer of it.
    async fn is_heard(&self, word: AckKind) -> bool {
        let Some(consumer) = self.0.reply.clone() else {
            return false;
        };
        let word = Request::new().payload(word.into());
        let client = self.0.context.client();
        client.send_request(consumer, word).await.is_ok()
    }
}
