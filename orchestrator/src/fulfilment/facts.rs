//! What the domain events of one order add up to.

use aggregates::codec;
use aggregates::delivery::Delivery;
use aggregates::order::Order;
use aggregates::payment::Payment;
use aggregates::{Decider, Event, IllegalTransition};
use eventstore::RecordedEvent;

use crate::execute::FoldError;

/// The aggregates of one order.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The order itself.
    pub order: Option<Order>,
    /// Its money.
    pub payment: Option<Payment>,
    /// Its parcel.
    pub delivery: Option<Delivery>,
}

impl Facts {
    /// Folds events of any of the order's streams; others are passed over.
    pub fn fold<'a>(
        events: impl IntoIterator<Item = &'a RecordedEvent>,
    ) -> Result<Self, FoldError> {
        events
            .into_iter()
            .try_fold(Self::default(), |facts, event| {
                let decoded = codec::decode(&event.event_type, event.schema_version, &event.data)?;
                Ok(facts.evolve(&decoded)?)
            })
    }

    /// The facts after one more event.
    pub(crate) fn evolve(mut self, event: &Event) -> Result<Self, IllegalTransition> {
        match event {
            Event::Order(event) => self.order = Order::evolve(self.order, event)?,
            Event::Payment(event) => self.payment = Payment::evolve(self.payment, event)?,
            Event::Delivery(event) => self.delivery = Delivery::evolve(self.delivery, event)?,
            Event::Kakao(_)
            | Event::Subject(_)
            | Event::Webhook(_)
            | Event::Projection(_)
            | Event::Saga(_) => {}
        }
        Ok(self)
    }
}
