//! Canceling an order: a request that may be refused.

use std::time::Duration;

use aggregates::order::{Order, Status};
use aggregates::refusal::Refusal;
use eventstore::{Checkpoint, ReadError, StreamId, Version};
use tokio::time::Instant;
use uuid::Uuid;

use super::Fulfilment;
use super::facts::Facts;
use crate::execute::Aggregate;
use crate::saga::engine::Running;
use crate::saga::verbs::{Cancel, Request, VerbError};
use crate::saga::view::{LeftAlone, LoadError, Snapshot};

/// How long a request is put to a saga that is busy. Far longer than any saga moves without a pause.
const ASKING: Duration = Duration::from_secs(5);

/// What became of a request to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelAnswer {
    /// There is no order any more, and all money is back.
    Canceled {
        /// The event that a reader must have seen to know as much.
        checkpoint: Checkpoint,
    },
    /// It is under way: something is not known yet, or a person has to look.
    Canceling,
    /// The parcel has left. The way back is a return.
    PastPointOfNoReturn(Refusal),
    /// It never became an order.
    AlreadyRejected,
    /// There is no such order.
    NotFound,
}

/// Why a request is not known to have been taken. Repeat it: asking twice does no harm.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The request could not be written down.
    #[error("the request cannot be stored")]
    Verb(#[from] VerbError),
    /// It was, but what becomes of it cannot be read.
    #[error("the order cannot be read")]
    Load(#[from] LoadError),
}

impl From<ReadError> for CancelError {
    fn from(error: ReadError) -> Self {
        Self::Load(error.into())
    }
}

impl Fulfilment {
    /// Asks for an order to be canceled, and waits at most `wait` for the answer.
    pub async fn cancel(
        &self,
        order_id: Uuid,
        reason: &str,
        actor: &str,
        wait: Duration,
    ) -> Result<CancelAnswer, CancelError> {
        let stream = StreamId::new(Order::CATEGORY, order_id);
        if self
            .store
            .read_stream(&stream, Version::ZERO, 1)
            .await?
            .is_empty()
        {
            return Ok(CancelAnswer::NotFound);
        }
        let request = Request {
            actor: actor.to_owned(),
            reason: reason.to_owned(),
        };
        match self.request(order_id, &request).await {
            Ok(Cancel::Refused { code }) => {
                let reason = "The parcel is with the carrier.";
                return Ok(CancelAnswer::PastPointOfNoReturn(Refusal::new(
                    code, reason,
                )));
            }
            Ok(Cancel::Requested | Cancel::Unwinding | Cancel::Unwound) => {}
            Err(VerbError::LeftAlone(LeftAlone::NotFound)) => return Ok(CancelAnswer::NotFound),
            Err(error) => return Err(error.into()),
        }
        // What is in memory here may be older than the request.
        let asked = Snapshot::fold(order_id, self.store.read_related(order_id).await?);
        let asked = asked.map_err(LoadError::from)?;
        if let Some(answer) = answer(&asked) {
            return Ok(answer);
        }
        let mut running = self.engine.follow(order_id).await?;
        let answered = self.answered(&mut running, &asked);
        Ok(tokio::time::timeout(wait, answered)
            .await
            .unwrap_or(CancelAnswer::Canceling))
    }

    /// A saga that moves faster than it can be asked comes to a point where it waits.
    async fn request(&self, order_id: Uuid, request: &Request) -> Result<Cancel, VerbError> {
        let deadline = Instant::now() + ASKING;
        loop {
            match self.engine.cancel(order_id, request).await {
                Err(VerbError::Busy) if Instant::now() < deadline => {}
                answer => return answer,
            }
        }
    }

    async fn answered(&self, running: &mut Running, asked: &Snapshot) -> CancelAnswer {
        let known = |snapshot: &Snapshot| snapshot.version >= asked.version;
        let settled = running.wait_for(|snapshot| known(snapshot) && answer(snapshot).is_some());
        let settled = settled.await;
        settled
            .and_then(|snapshot| answer(&snapshot))
            .unwrap_or(CancelAnswer::Canceling)
    }
}

/// What an order's events say about the request; nothing while that is open and nobody has to act.
fn answer(snapshot: &Snapshot) -> Option<CancelAnswer> {
    let facts = Facts::fold(snapshot.history.events()).ok()?;
    let order = facts.order.as_ref()?;
    // Whatever was charged for it, and not only what paid for it.
    let payment = facts.payment.as_ref();
    let is_back = payment.is_none_or(|payment| payment.charged() <= payment.refunded());
    match order.status {
        Status::Rejected => Some(CancelAnswer::AlreadyRejected),
        Status::Canceled if is_back => {
            let checkpoint = snapshot.history.events().next_back()?.checkpoint();
            Some(CancelAnswer::Canceled { checkpoint })
        }
        Status::HandedOver | Status::Delivered => {
            let refusal = order.cancel_refusal.clone();
            Some(CancelAnswer::PastPointOfNoReturn(
                refusal.unwrap_or_else(left),
            ))
        }
        _ if snapshot.state.is_at_rest() => Some(CancelAnswer::Canceling),
        _ if order.open_cancel.is_none() && order.status != Status::Canceled => order
            .cancel_refusal
            .clone()
            .map(CancelAnswer::PastPointOfNoReturn),
        _ => None,
    }
}

fn left() -> Refusal {
    Refusal::new("past-point-of-no-return", "The parcel is with the carrier.")
}
