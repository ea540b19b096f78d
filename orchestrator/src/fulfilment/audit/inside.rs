//! What the log says, folded once, in the order of positions.

use std::collections::{HashMap, HashSet};

use aggregates::delivery::DeliveryEvent;
use aggregates::kakao::KakaoEvent;
use aggregates::order::OrderEvent;
use aggregates::payment::PaymentEvent;
use aggregates::saga::{SagaEvent, State};
use aggregates::{Event, codec};
use eventstore::RecordedEvent;
use uuid::Uuid;

use super::Violation;
use crate::fulfilment::facts::Facts;
use crate::saga::FOUND;

/// One order as the log tells it.
#[derive(Debug, Default)]
pub(super) struct OrderLog {
    pub(super) facts: Facts,
    pub(super) saga: State,
    /// Keys under which anything was tried.
    pub(super) keys: HashSet<String>,
    /// Reference and amount of every charge on record.
    pub(super) charges: HashMap<String, i64>,
    /// Reference and amount of every refund on record.
    pub(super) refunds: HashMap<String, i64>,
    /// Numbers of every parcel on record.
    pub(super) waybills: HashSet<String>,
    /// References of charges that pay for nothing, and of what gave them back.
    pub(super) excess: HashSet<String>,
    /// References of effects that were found outside.
    pub(super) found: HashSet<String>,
    adopting: bool,
    /// A person stated something that the providers need not know of.
    pub(super) stated: bool,
    pub(super) cancel_refusals: u64,
}

/// A message as the log tells it.
#[derive(Debug, Default)]
pub(super) struct MessageLog {
    pub(super) sent: Option<String>,
    pub(super) sends: u32,
    pub(super) failed: bool,
    pub(super) suppressed: bool,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) orders: HashMap<Uuid, OrderLog>,
    pub(super) messages: HashMap<Uuid, MessageLog>,
    pub(super) events: u64,
    pub(super) violations: Vec<Violation>,
    /// Sagas that are not an order's: of those that give a charge back, the order.
    beside: HashMap<Uuid, Option<Uuid>>,
    versions: HashMap<(Uuid, String), i64>,
    ids: HashSet<Uuid>,
}

impl Inside {
    pub(super) fn observe(&mut self, event: &RecordedEvent) {
        self.events += 1;
        self.check_place(event);
        let decoded = codec::decode(&event.event_type, event.schema_version, &event.data);
        let folded = match decoded {
            Ok(decoded) => self
                .fold(event.stream.id, &decoded)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = folded {
            self.fault(1, &event.stream, error);
        }
    }

    /// Positions are 1..n, versions of every stream 1..k, ids unique.
    fn check_place(&mut self, event: &RecordedEvent) {
        let expected = i64::try_from(self.events).unwrap_or(i64::MAX);
        if event.position.0 != expected {
            self.fault(
                1,
                &event.stream,
                format!("position {} after {}", event.position.0, expected - 1),
            );
        }
        let stream = (event.stream.id, event.stream.category.to_string());
        let last = self.versions.entry(stream).or_default();
        *last += 1;
        if event.version.0 != *last {
            let what = format!("version {} where {last} was due", event.version.0);
            self.fault(1, &event.stream, what);
        }
        if !self.ids.insert(event.event_id) {
            self.fault(
                1,
                &event.stream,
                format!("event {} is there twice", event.event_id),
            );
        }
    }

    fn fold(&mut self, id: Uuid, event: &Event) -> Result<(), Box<dyn std::error::Error>> {
        match event {
            Event::Kakao(event) => {
                self.messages.entry(id).or_default().note(event);
                return Ok(());
            }
            Event::Subject(_) | Event::Webhook(_) | Event::Projection(_) => return Ok(()),
            // The saga of a direct message shares its stream's id with the message, not with an order.
            Event::Saga(_) if self.messages.contains_key(&id) => return Ok(()),
            Event::Saga(event) if self.is_beside(id, event) => return Ok(()),
            Event::Order(_) | Event::Payment(_) | Event::Delivery(_) | Event::Saga(_) => {}
        }
        let order = self.orders.entry(id).or_default();
        order.note(event);
        order.facts = std::mem::take(&mut order.facts).evolve(event)?;
        if let Event::Saga(event) = event {
            order.saga = std::mem::take(&mut order.saga).evolve(event)?;
        }
        Ok(())
    }

    /// Sagas beside the orders', whose keys the order they give money back for has to know.
    fn is_beside(&mut self, id: Uuid, event: &SagaEvent) -> bool {
        if let SagaEvent::SagaStarted(started) = event
            && started.saga != crate::fulfilment::saga::NAME
        {
            let order = started.input["orderId"].as_str();
            self.beside
                .insert(id, order.and_then(|order| order.parse().ok()));
        }
        let Some(order) = self.beside.get(&id) else {
            return false;
        };
        if let (Some(order), SagaEvent::StepStarted(started)) = (order, event)
            && let Some(order) = self.orders.get_mut(order)
        {
            order.keys.insert(started.key.clone());
        }
        true
    }

    fn fault(&mut self, invariant: u8, subject: &impl ToString, what: String) {
        self.violations.push(Violation {
            invariant,
            subject: subject.to_string(),
            what,
        });
    }
}

impl OrderLog {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Payment(PaymentEvent::Paid(paid)) => {
                self.charges.insert(paid.provider_ref.clone(), paid.amount);
            }
            Event::Payment(PaymentEvent::PayCanceled(back)) => {
                self.refunds.insert(back.refund_ref.clone(), back.amount);
            }
            Event::Payment(PaymentEvent::ExcessCharged(excess)) => {
                self.charges
                    .insert(excess.provider_ref.clone(), excess.amount);
                self.excess.insert(excess.provider_ref.clone());
            }
            Event::Payment(PaymentEvent::ExcessReturned(back)) => {
                self.refunds.insert(back.refund_ref.clone(), back.amount);
                self.excess.insert(back.refund_ref.clone());
            }
            Event::Delivery(DeliveryEvent::Shipped(shipped)) => {
                self.waybills.insert(shipped.waybill.clone());
            }
            Event::Order(OrderEvent::OrderCancelRefused(_)) => self.cancel_refusals += 1,
            Event::Saga(SagaEvent::StepStarted(started)) => {
                self.keys.insert(started.key.clone());
            }
            Event::Saga(SagaEvent::StepResolved(_)) => self.stated = true,
            Event::Saga(SagaEvent::SignalReceived(received)) => {
                self.adopting = received.signal == FOUND;
            }
            Event::Saga(SagaEvent::StepDone(done)) if std::mem::take(&mut self.adopting) => {
                let named = ["ref", "waybill"].map(|name| done.output[name].as_str());
                self.found
                    .extend(named.into_iter().flatten().map(str::to_owned));
            }
            _ => {}
        }
    }
}

impl MessageLog {
    fn note(&mut self, event: &KakaoEvent) {
        match event {
            KakaoEvent::MessageRequested(_) => {}
            KakaoEvent::SentMessage(sent) => {
                self.sends += 1;
                self.sent = Some(sent.provider_ref.clone().unwrap_or_default());
            }
            KakaoEvent::MessageFailed(_) => self.failed = true,
            KakaoEvent::MessageSuppressed(_) => self.suppressed = true,
        }
    }
}
