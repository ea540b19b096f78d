//! A log full of ordinary orders, written through the library: what a rebuild reads.

use std::borrow::Cow;
use std::future;
use std::ops::Range;

use aggregates::delivery::{Delivered, DeliveryEvent, HandedOver, Shipped};
use aggregates::kakao::{KakaoEvent, Kind, SentMessage};
use aggregates::money::Currency;
use aggregates::order::{
    Line, OrderDelivered, OrderEvent, OrderHandedOver, OrderPaid, OrderShipped, Ordered,
};
use aggregates::payment::{Paid, PaymentEvent};
use aggregates::{Event, category_of, codec, ids};
use anyhow::Context;
use chrono::{DateTime, Utc};
use eventstore::{Category, EventStore, Expected, NewEvent, StreamAppend, StreamId};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::value::RawValue;
use uuid::Uuid;

/// Enough orders in flight to fill the appender's batches.
const IN_FLIGHT: usize = 512;
/// The events of one order.
pub const EVENTS_PER_ORDER: u64 = 10;
/// Parcels travel for a while: an order is handed over when so many younger ones have been placed, and delivered when
/// twice as many have.
const IN_BETWEEN: u64 = 2000;

/// The commits of a happy order.
const AT_ONCE: [Stage; 4] = [Stage::Order, Stage::Pay, Stage::Ship, Stage::Announce];

#[derive(Clone, Copy)]
enum Stage {
    Order,
    Pay,
    Ship,
    Announce,
    HandOver,
    Deliver,
}

/// Stores delivered orders of these numbers, interleaved as a busy shop's are.
pub async fn fill(store: &EventStore, orders: Range<u64>) -> anyhow::Result<()> {
    let began = Utc::now();
    let border = |number: u64| (orders.start + number * IN_BETWEEN).min(orders.end);
    let group = |number: u64| border(number)..border(number + 1);
    let groups = (orders.end - orders.start).div_ceil(IN_BETWEEN);
    for now in 0..groups + 2 {
        advance(store, group(now), &AT_ONCE, began).await?;
        if let Some(earlier) = now.checked_sub(1) {
            advance(store, group(earlier), &[Stage::HandOver], began).await?;
        }
        if let Some(earlier) = now.checked_sub(2) {
            advance(store, group(earlier), &[Stage::Deliver], began).await?;
        }
    }
    Ok(())
}

/// Takes each order through these stages one after the other, many orders at a time.
async fn advance(
    store: &EventStore,
    orders: Range<u64>,
    stages: &[Stage],
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    stream::iter(orders)
        .map(|number| async move {
            let order = Order::new(number, at);
            for stage in stages {
                store
                    .append(order.commit(*stage)?)
                    .await
                    .context("filling the log")?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(IN_FLIGHT)
        .try_for_each(|()| future::ready(Ok(())))
        .await
}

struct Order {
    id: Uuid,
    number: u64,
    customer: String,
    at: DateTime<Utc>,
}

/// Builds an event of an order: the fields that all have, then its own.
macro_rules! event {
    ($order:expr, $event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        $event {
            order_id: $order.id,
            customer_id: $order.customer.clone(),
            occurred_at: $order.at,
            $($field: $value),*
        }
    };
}

impl Order {
    fn new(number: u64, at: DateTime<Utc>) -> Self {
        let id = ids::order_id("bench", &number.to_string(), "fill");
        Self {
            id,
            number,
            customer: format!("customer-{:06}", number % 1000),
            at,
        }
    }

    /// What is stored together at this stage.
    fn commit(&self, stage: Stage) -> anyhow::Result<Vec<StreamAppend>> {
        self.events(stage)
            .into_iter()
            .map(|event| self.append(&event))
            .collect()
    }

    fn append(&self, event: &Event) -> anyhow::Result<StreamAppend> {
        let encoded = codec::encode(event);
        let id = event.head().map_or(self.id, |head| head.id);
        let metadata = format!(r#"{{"correlationId":"{}","actor":"bench"}}"#, self.id);
        Ok(StreamAppend {
            stream: StreamId {
                category: Category::from_static(category_of(event)),
                id,
            },
            expected: Expected::Any,
            events: vec![NewEvent {
                event_id: Uuid::now_v7(),
                event_type: Cow::Borrowed(encoded.event_type),
                schema_version: encoded.schema_version,
                data: encoded.data,
                metadata: RawValue::from_string(metadata).context("metadata is JSON")?,
            }],
        })
    }

    fn events(&self, stage: Stage) -> Vec<Event> {
        match stage {
            Stage::Order => vec![OrderEvent::from(self.ordered()).into()],
            Stage::Pay => vec![
                PaymentEvent::from(self.paid()).into(),
                OrderEvent::from(self.order_paid()).into(),
            ],
            Stage::Ship => {
                let (carrier, waybill) = ("simulated".to_owned(), format!("W{:012}", self.number));
                let delivery = event!(
                    self,
                    Shipped {
                        carrier: carrier.clone(),
                        waybill: waybill.clone()
                    }
                );
                let order = event!(
                    self,
                    OrderShipped {
                        carrier: carrier,
                        waybill: waybill
                    }
                );
                vec![
                    DeliveryEvent::from(delivery).into(),
                    OrderEvent::from(order).into(),
                ]
            }
            Stage::Announce => vec![KakaoEvent::from(self.announced()).into()],
            Stage::HandOver => vec![
                DeliveryEvent::from(event!(self, HandedOver {})).into(),
                OrderEvent::from(event!(self, OrderHandedOver {})).into(),
            ],
            Stage::Deliver => vec![
                DeliveryEvent::from(event!(self, Delivered {})).into(),
                OrderEvent::from(event!(self, OrderDelivered {})).into(),
            ],
        }
    }

    fn lines(&self) -> Vec<Line> {
        vec![Line {
            book_id: format!("978{:010}", self.number % 5000),
            qty: 1,
            unit_price: 33_000,
            title: Some("Principles: Life and Work".to_owned()),
        }]
    }

    fn ordered(&self) -> Ordered {
        let lines = self.lines();
        event!(
            self,
            Ordered {
                book_id: lines[0].book_id.clone(),
                qty: 1,
                lines: lines,
                shipping_fee: 3000,
                currency: Currency::KRW,
                total: 36_000,
                payment: None,
                contact: None,
                address: None,
                placed_at: None,
                external_id: None,
                principal: "bench".to_owned(),
                command_hash: format!("{:064x}", self.number),
                source: None,
            }
        )
    }

    fn paid(&self) -> Paid {
        event!(
            self,
            Paid {
                amount: 36_000,
                currency: Currency::KRW,
                provider_ref: format!("P{:012}", self.number)
            }
        )
    }

    fn order_paid(&self) -> OrderPaid {
        event!(
            self,
            OrderPaid {
                lines: self.lines(),
                total: 36_000,
                currency: Currency::KRW,
                payment_ref: format!("P{:012}", self.number),
            }
        )
    }

    fn announced(&self) -> SentMessage {
        let order = self.id.to_string();
        SentMessage {
            id: ids::message_id(&order, Kind::Shipped, "1"),
            message: format!("{order} {} Shipped", self.customer),
            order_id: order,
            customer_id: self.customer.clone(),
            status: "Shipped".to_owned(),
            occurred_at: self.at,
            kind: Kind::Shipped,
            channel: "simulated".to_owned(),
            provider_ref: None,
            template: None,
            fallback: None,
            attempts: Some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_leaves_as_many_events_as_are_counted_for_it() {
        let order = Order::new(7, Utc::now());
        let stages = AT_ONCE.into_iter().chain([Stage::HandOver, Stage::Deliver]);
        let events: usize = stages.map(|stage| order.events(stage).len()).sum();
        assert_eq!(events as u64, EVENTS_PER_ORDER);
    }
}
