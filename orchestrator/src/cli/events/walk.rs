//! An order's way through the folds, event by event. Pure: these are the folds that decide and answer everywhere else.

use aggregates::delivery::Delivery;
use aggregates::order::Order;
use aggregates::payment::Payment;
use aggregates::saga::State;
use aggregates::{Decider, Event, codec};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::difference::{Change, changes};
use crate::http::orders::{delivery_document, order_document, payment_document};

/// Where `Ordered` holds ciphertext. It says nothing to anybody and would fill the screen.
const SEALED: [&str; 4] = [
    "/payment/token",
    "/contact/name",
    "/contact/phone",
    "/address",
];

/// What stands in its place.
const MASK: &str = "[sealed]";

/// An event as the server tells it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) position: i64,
    #[serde(rename = "type")]
    event_type: String,
    /// Servers of an earlier release do not say it: all they have is in its first version.
    #[serde(default = "first_version")]
    schema_version: i16,
    data: Box<RawValue>,
}

fn first_version() -> i16 {
    1
}

/// One event and what it did.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// The event, without ciphertext.
    pub(super) event: Value,
    /// Order, payment, delivery and saga before it; null where there was nothing yet.
    pub(super) before: Value,
    /// The same after it.
    pub(super) after: Value,
    /// In what the two differ.
    pub(super) difference: Vec<Change>,
    /// Why the fold could not take it, where it could not: nothing changed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
}

/// What the events so far have come to.
#[derive(Clone, Default)]
pub(super) struct Walk {
    order: Option<Order>,
    payment: Option<Payment>,
    delivery: Option<Delivery>,
    saga: Option<State>,
}

impl Walk {
    /// Takes one event of the order's streams.
    pub(super) fn take(&mut self, event: &Value) -> serde_json::Result<(i64, Step)> {
        let told: Told = Told::deserialize(event)?;
        let before = self.document();
        let refused = match self.clone().after(&told) {
            Ok(after) => {
                *self = after;
                None
            }
            Err(reason) => Some(reason),
        };
        let after = self.document();
        let step = Step {
            event: masked(event),
            difference: changes(&before, &after),
            before,
            after,
            refused,
        };
        Ok((told.position, step))
    }

    fn after(mut self, told: &Told) -> Result<Self, String> {
        let event = codec::decode(&told.event_type, told.schema_version, &told.data);
        match event.map_err(|error| error.to_string())? {
            Event::Order(event) => {
                self.order = Order::evolve(self.order, &event).map_err(|e| e.to_string())?;
            }
            Event::Payment(event) => {
                self.payment = Payment::evolve(self.payment, &event).map_err(|e| e.to_string())?;
            }
            Event::Delivery(event) => {
                self.delivery =
                    Delivery::evolve(self.delivery, &event).map_err(|e| e.to_string())?;
            }
            Event::Saga(event) => {
                let state = self.saga.unwrap_or_default();
                self.saga = Some(state.evolve(&event).map_err(|e| e.to_string())?);
            }
            Event::Kakao(_) | Event::Subject(_) | Event::Webhook(_) | Event::Projection(_) => {}
        }
        Ok(self)
    }

    /// As the server's own reads show it, so without anything personal.
    fn document(&self) -> Value {
        let mut document = json!({
            "order": self.order.as_ref().map(order_document),
            "payment": self.payment.as_ref().map(payment_document),
            "delivery": self.delivery.as_ref().map(delivery_document),
            "saga": self.saga,
        });
        for part in ["order", "payment", "delivery"] {
            if let Some(part) = document[part].as_object_mut() {
                part.remove("_links");
            }
        }
        document
    }
}

fn masked(event: &Value) -> Value {
    let mut event = event.clone();
    for place in SEALED {
        if let Some(sealed) = event.pointer_mut(&format!("/data{place}")) {
            *sealed = MASK.into();
        }
    }
    event
}
