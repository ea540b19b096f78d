//! The aggregates as their own streams tell them: always current.

use aggregates::delivery::Delivery;
use aggregates::kakao::Message;
use aggregates::order::Order;
use aggregates::payment::Payment;
use eventstore::{Position, VaultError};
use uuid::Uuid;

use super::Fulfilment;
use super::personal::{self, Details, Need};
use crate::execute::{Aggregate, LoadError, Versioned, load, load_as_of};

impl Fulfilment {
    /// An order.
    pub async fn order(&self, id: Uuid) -> Result<Option<Versioned<Order>>, LoadError> {
        self.shown::<Order>(id).await
    }

    /// The money of an order.
    pub async fn payment(&self, id: Uuid) -> Result<Option<Versioned<Payment>>, LoadError> {
        self.shown::<Payment>(id).await
    }

    /// The parcel of an order.
    pub async fn delivery(&self, id: Uuid) -> Result<Option<Versioned<Delivery>>, LoadError> {
        self.shown::<Delivery>(id).await
    }

    /// A message.
    pub async fn message(&self, id: Uuid) -> Result<Option<Versioned<Message>>, LoadError> {
        self.shown::<Message>(id).await
    }

    /// Name, phone and address of an order in clear, for the customer's own reads. What was erased is missing.
    pub async fn details(&self, order: &Order) -> Result<Details, VaultError> {
        personal::unseal(&self.vault, order, Need::Parcel).await
    }

    /// An aggregate as it was when the log ended there; `None` before its first event.
    pub async fn as_of<A>(
        &self,
        id: Uuid,
        last: Position,
    ) -> Result<Option<Versioned<A>>, LoadError>
    where
        A: Aggregate<State = Option<A>>,
    {
        Ok(existing(load_as_of::<A>(&self.store, id, last).await?))
    }

    async fn shown<A>(&self, id: Uuid) -> Result<Option<Versioned<A>>, LoadError>
    where
        A: Aggregate<State = Option<A>>,
    {
        Ok(existing(load::<A>(&self.store, id).await?))
    }
}

fn existing<A>(loaded: Versioned<Option<A>>) -> Option<Versioned<A>> {
    Some(Versioned {
        value: loaded.value?,
        version: loaded.version,
        checkpoint: loaded.checkpoint,
    })
}
