//! Placing an order: one append, one charge, one append, and an answer that stays the same for ever.

use std::time::Duration;

use aggregates::order::{Action, CheckedOrder, Command, Order, Place, Rejection};
use aggregates::{Decider, ids};
use chrono::Utc;
use eventstore::{AppendError, Expected, Position, ReadError, StreamId, VaultError, Version};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::answers::{OrderAnswer, Told, told};
use super::saga::NAME;
use super::steps::ANSWER_PENDING;
use super::{Fulfilment, personal};
use crate::execute::{Aggregate, FoldError, to_stream};
use crate::lineage::{TraceParent, traced};
use crate::saga::engine::{Running, StartError};
use crate::saga::view::Snapshot;

/// Events of an order's stream that its first answer is among: it was placed, asked to be canceled, answered.
const FIRST_EVENTS: usize = 8;

/// How long the log may take to say what became of an order after its customer has waited. A healthy one takes milliseconds, and
/// the customer has waited already.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// How long a customer is asked to wait when the store cannot be reached.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// An order somebody wants.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// What is ordered.
    pub order: CheckedOrder,
    /// Who sends the command.
    pub principal: String,
    /// Under which idempotency key; without one every command is a new order.
    pub key: Option<String>,
    /// Where it comes from, such as `import`.
    pub source: Option<String>,
    /// The trace it is part of.
    pub trace: Option<TraceParent>,
}

/// What became of the command.
#[derive(Debug, Clone, PartialEq)]
pub enum PlaceAnswer {
    /// The order's first answer, the same to every repeat.
    Answered(Box<OrderAnswer>),
    /// The key stands for another order.
    KeyReused {
        /// That order.
        order_id: Uuid,
    },
    /// The order is there, but nothing can be said about its payment yet.
    InProgress {
        /// The order.
        order_id: Uuid,
    },
}

/// Why nothing is known to have been done.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The payment provider is away. Nothing was stored, nothing was charged.
    #[error("the payment provider cannot be reached")]
    PaymentUnavailable {
        /// When to come again.
        retry_after: Duration,
    },
    /// The store is away. Nothing was stored, nothing was charged.
    #[error("the order cannot be stored")]
    StoreUnavailable {
        /// When to come again.
        retry_after: Duration,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The personal data cannot be sealed.
    #[error("personal data cannot be sealed")]
    Vault(#[from] VaultError),
    /// The order's events make no sense to this build.
    #[error("the order's events cannot be read")]
    Unreadable(#[from] FoldError),
    /// The command contradicts what is on record; the text says how.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl From<ReadError> for PlaceError {
    fn from(source: ReadError) -> Self {
        unavailable(source)
    }
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> PlaceError {
    PlaceError::StoreUnavailable {
        retry_after: STORE_RETRY,
        source: Box::new(source),
    }
}

impl Fulfilment {
    /// Places an order and waits for its first answer. Run it in a task of its own: a caller that goes away must not cut it
    /// in half (nothing would be lost, but the answer would come from the sweeper).
    pub async fn place(&self, command: PlaceOrder) -> Result<PlaceAnswer, PlaceError> {
        let customer = &command.order.customer_id;
        let order_id = match &command.key {
            Some(key) => ids::order_id(&command.principal, customer, key),
            None => Uuid::now_v7(),
        };
        // Tells a repeat from another order under the same key. Not a plain hash: it would outlive an erasure, and what was
        // erased could be guessed with it.
        let hash = self.vault.fingerprint(&command.order.canonical_bytes());
        // Kept until the order has its answer; an order that never gets as far as its charge gives it back.
        let leave = match self.guards.admit_order(order_id) {
            Ok(leave) => leave,
            Err(retry_after) => {
                return self
                    .place_while_away(order_id, &command, &hash, retry_after)
                    .await;
            }
        };
        if self.is_repeat_after_erasure(order_id, &command).await? {
            drop(leave);
            return self.existing(order_id, &hash).await;
        }
        let sealed = personal::seal(&self.vault, &command.order).await?;
        let place = Place {
            order_id,
            order: command.order,
            sealed,
            principal: command.principal,
            command_hash: hash.clone(),
            source: command.source,
        };
        let action = Action::Place(Box::new(place));
        let events = Order::decide(
            &None,
            &Command {
                at: Utc::now(),
                action,
            },
        )?;
        let placed = to_stream(
            Order::CATEGORY,
            order_id,
            Expected::NoStream,
            events,
            order_id,
        );
        let placed = traced(placed, command.trace.as_ref());
        match self
            .engine
            .start(NAME, order_id, Value::Null, vec![placed])
            .await
        {
            Ok(running) => self.first_answer(running, order_id).await,
            Err(error) => {
                drop(leave);
                let exists = matches!(error, StartError::Exists);
                if matches!(error, StartError::Append(AppendError::Unknown)) {
                    self.unsure.note(order_id);
                }
                // Not knowing whether it was stored is no reason to say that it was not.
                if exists || self.unsure.has(order_id) {
                    return self.existing(order_id, &hash).await;
                }
                Err(unavailable(error))
            }
        }
    }

    /// Whether the order is there, and its customer has no key any more. Sealing would leave one behind under which nothing is ever
    /// kept. Asks the log only about customers who have none, such as new ones.
    async fn is_repeat_after_erasure(
        &self,
        order_id: Uuid,
        command: &PlaceOrder,
    ) -> Result<bool, PlaceError> {
        let seals = command.key.is_some() && personal::is_in(&command.order);
        if !seals || self.vault.knows(&command.order.customer_id).await? {
            return Ok(false);
        }
        Ok(!matches!(self.told(order_id).await?, Told::Nothing))
    }

    /// Nothing new is begun while the provider is away; what was answered is answered again.
    async fn place_while_away(
        &self,
        order_id: Uuid,
        command: &PlaceOrder,
        hash: &str,
        retry_after: Duration,
    ) -> Result<PlaceAnswer, PlaceError> {
        let away = Err(PlaceError::PaymentUnavailable { retry_after });
        if command.key.is_none() {
            return away;
        }
        match self.told(order_id).await? {
            Told::Nothing if !self.unsure.has(order_id) => away,
            _ => self.existing(order_id, hash).await,
        }
    }

    /// The answer as this process's own events give it; no read.
    async fn first_answer(
        &self,
        mut running: Running,
        order_id: Uuid,
    ) -> Result<PlaceAnswer, PlaceError> {
        let answered = running.wait_for(is_answered);
        let budget = self.limits.payment_budget;
        if timeout(budget, answered).await.is_err() {
            let said = timeout(LAST_LOOK, self.say_pending(order_id)).await;
            if said.is_err() {
                tracing::warn!(order = %order_id, "an order is pending, and the log does not take it down");
            }
        }
        match told(running.snapshot().history.events())? {
            Told::Answered(answer) => Ok(PlaceAnswer::Answered(answer)),
            Told::Placed(_) | Told::Nothing => self.read_answer(order_id).await,
        }
    }

    /// Asks the saga to write down that the customer could not wait. If it cannot, the order is there all the same.
    async fn say_pending(&self, order_id: Uuid) {
        if let Err(error) = self
            .engine
            .signal(order_id, ANSWER_PENDING, Value::Null)
            .await
        {
            tracing::warn!(order = %order_id, %error, "an order is pending and cannot be said to be");
        }
    }

    async fn read_answer(&self, order_id: Uuid) -> Result<PlaceAnswer, PlaceError> {
        Ok(match self.told_soon(order_id).await {
            Ok(Told::Answered(answer)) => PlaceAnswer::Answered(answer),
            Ok(Told::Placed(_) | Told::Nothing) => PlaceAnswer::InProgress { order_id },
            Err(PlaceError::StoreUnavailable { .. }) => PlaceAnswer::InProgress { order_id },
            Err(error) => return Err(error),
        })
    }

    /// The same command again, or another one under its key. Where there is no answer yet, it is waited for: by whatever
    /// node it comes, it comes through the log. The order may be stored, so a store that cannot be read is no answer either.
    async fn existing(&self, order_id: Uuid, hash: &str) -> Result<PlaceAnswer, PlaceError> {
        let deadline = Instant::now() + self.limits.payment_budget;
        loop {
            let head = *self.store.watch().borrow();
            let mut unread = None;
            match self.told_soon(order_id).await {
                Ok(Told::Answered(answer)) if answer.ordered.command_hash == hash => {
                    return Ok(PlaceAnswer::Answered(answer));
                }
                Ok(Told::Placed(ordered)) if ordered.command_hash == hash => {}
                Ok(Told::Answered(_) | Told::Placed(_)) => {
                    return Ok(PlaceAnswer::KeyReused { order_id });
                }
                Ok(Told::Nothing) => {}
                Err(PlaceError::StoreUnavailable { retry_after, .. }) => unread = Some(retry_after),
                Err(error) => return Err(error),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(PlaceAnswer::InProgress { order_id });
            }
            match unread {
                Some(pause) => tokio::time::sleep(pause.min(left)).await,
                None => self.news(order_id, head, left).await,
            }
        }
    }

    /// Until something may have happened to that order: by its own task, if it has one here, else by any event of the log.
    async fn news(&self, order_id: Uuid, head: Position, left: Duration) {
        if self.engine.is_live(order_id)
            && let Ok(mut running) = self.engine.follow(order_id).await
        {
            let answered = running.wait_for(is_answered);
            // Too late is an answer as well: the caller looks at the time.
            let _ = timeout(left, answered).await;
        } else {
            // The caller reads next, and hears then what is wrong with the store.
            let _ = self.store.wait_past(head, left).await;
        }
    }

    /// The same of an order that may be stored: a log that is silent for long is one that cannot be read, and the caller hears so
    /// while it still listens.
    async fn told_soon(&self, order_id: Uuid) -> Result<Told, PlaceError> {
        match timeout(LAST_LOOK, self.told(order_id)).await {
            Ok(told) => told,
            Err(elapsed) => Err(unavailable(elapsed)),
        }
    }

    async fn told(&self, order_id: Uuid) -> Result<Told, PlaceError> {
        let stream = StreamId::new(Order::CATEGORY, order_id);
        let events = self
            .store
            .read_stream(&stream, Version::ZERO, FIRST_EVENTS)
            .await?;
        Ok(told(&events)?)
    }
}

/// An unreadable event is no reason to wait: the reading that follows says what is wrong with it.
fn is_answered(snapshot: &Snapshot) -> bool {
    !matches!(
        told(snapshot.history.events()),
        Ok(Told::Placed(_) | Told::Nothing)
    )
}
