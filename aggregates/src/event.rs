//! All events of the market, and how each aggregate declares its own.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::delivery::DeliveryEvent;
use crate::kakao::KakaoEvent;
use crate::order::OrderEvent;
use crate::payment::PaymentEvent;
use crate::projection::ProjectionEvent;
use crate::saga::SagaEvent;
use crate::subject::SubjectEvent;
use crate::webhook::WebhookReceived;

/// Any event of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// On `order-X`.
    Order(OrderEvent),
    /// On `payment-X`.
    Payment(PaymentEvent),
    /// On `delivery-X`.
    Delivery(DeliveryEvent),
    /// On `kakao-M`.
    Kakao(KakaoEvent),
    /// On `subject-S`.
    Subject(SubjectEvent),
    /// On `webhook-W`.
    Webhook(WebhookReceived),
    /// On `saga-X`.
    Saga(SagaEvent),
    /// On `projection-P`.
    Projection(ProjectionEvent),
}

impl Event {
    /// The event's name, as stored and as the old services' `eventType`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Order(event) => event.name(),
            Self::Payment(event) => event.name(),
            Self::Delivery(event) => event.name(),
            Self::Kakao(event) => event.name(),
            Self::Subject(event) => event.name(),
            Self::Webhook(_) => WebhookReceived::NAME,
            Self::Saga(event) => event.event_type(),
            Self::Projection(event) => event.name(),
        }
    }

    /// What every domain event says; `None` for the saga's own log, for what providers said and for what
    /// operators do about views.
    pub fn head(&self) -> Option<Head<'_>> {
        match self {
            Self::Order(event) => Some(event.head()),
            Self::Payment(event) => Some(event.head()),
            Self::Delivery(event) => Some(event.head()),
            Self::Kakao(event) => Some(event.head()),
            Self::Subject(event) => Some(event.head()),
            Self::Webhook(_) | Self::Saga(_) | Self::Projection(_) => None,
        }
    }

    /// When it happened.
    pub fn occurred_at(&self) -> DateTime<Utc> {
        match self {
            Self::Order(event) => event.occurred_at(),
            Self::Payment(event) => event.occurred_at(),
            Self::Delivery(event) => event.occurred_at(),
            Self::Kakao(event) => event.occurred_at(),
            Self::Subject(event) => event.occurred_at(),
            Self::Webhook(event) => event.at,
            Self::Saga(event) => event.at(),
            Self::Projection(event) => event.at(),
        }
    }
}

impl From<SagaEvent> for Event {
    fn from(event: SagaEvent) -> Self {
        Self::Saga(event)
    }
}

impl From<ProjectionEvent> for Event {
    fn from(event: ProjectionEvent) -> Self {
        Self::Projection(event)
    }
}

impl From<WebhookReceived> for Event {
    fn from(event: WebhookReceived) -> Self {
        Self::Webhook(event)
    }
}

/// The category of the streams that an event belongs on.
pub fn category_of(event: &Event) -> &'static str {
    match event {
        Event::Order(_) => "order",
        Event::Payment(_) => "payment",
        Event::Delivery(_) => "delivery",
        Event::Kakao(_) => "kakao",
        Event::Subject(_) => "subject",
        Event::Webhook(_) => "webhook",
        Event::Saga(_) => "saga",
        Event::Projection(_) => "projection",
    }
}

/// The fields at the top of every domain event's JSON, as the old services' consumers know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Head<'a> {
    /// The event's name.
    pub event_type: &'static str,
    /// `occurredAt` once more, in the old services' format `yyyyMMddHHmmss`.
    #[serde(serialize_with = "seed_timestamp")]
    pub timestamp: DateTime<Utc>,
    /// The id of the aggregate.
    pub id: Uuid,
    /// The order that it is about; a customer's own events have none.
    pub order_id: Option<Cow<'a, str>>,
    /// The customer.
    pub customer_id: &'a str,
    /// The event's name, or what a message is about.
    pub status: &'a str,
    /// When it happened.
    #[serde(serialize_with = "crate::instant::serialize")]
    pub occurred_at: DateTime<Utc>,
}

impl<'a> Head<'a> {
    /// The head of an event on one of the streams that share the order's id.
    pub(crate) fn of_order(
        name: &'static str,
        order: Uuid,
        customer: &'a str,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            event_type: name,
            timestamp: at,
            id: order,
            order_id: Some(Cow::Owned(order.to_string())),
            customer_id: customer,
            status: name,
            occurred_at: at,
        }
    }
}

fn seed_timestamp<S: serde::Serializer>(
    at: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&at.format("%Y%m%d%H%M%S"))
}

/// Declares the events of one aggregate: a struct for each, their enum, and what the codec asks of
/// it.
///
/// The fields under `every` are read from JSON by each struct but not written by it: [`Head`]
/// writes them, in one place for all events, together with what the old services repeat. (Serde's
/// `flatten` would do the same at several times the price.)
macro_rules! events {
    (
        $(#[$doc:meta])*
        $name:ident is $wrapper:ident
        every $every:tt
        head($head_name:ident, $head_event:ident) $head:block
        $( $(#[$event_doc:meta])* $event:ident v $version:literal $fields:tt )+
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name { $( $(#[$event_doc])* $event($event), )+ }

        impl $name {
            /// Name and newest schema version of each.
            pub const TYPES: &'static [(&'static str, i16)] = &[$( ($event::NAME, $version) ),+];

            /// The event's name.
            pub fn name(&self) -> &'static str {
                match self { $( Self::$event(_) => $event::NAME, )+ }
            }

            /// When it happened.
            pub fn occurred_at(&self) -> chrono::DateTime<chrono::Utc> {
                match self { $( Self::$event(event) => event.occurred_at, )+ }
            }

            /// What the event has in common with all others.
            pub fn head(&self) -> crate::event::Head<'_> {
                let $head_name = self.name();
                match self { $( Self::$event($head_event) => $head, )+ }
            }

            /// The version and the JSON written today.
            pub(crate) fn encode(&self) -> (i16, Box<serde_json::value::RawValue>) {
                let head = self.head();
                match self {
                    $( Self::$event(event) => ($version, crate::codec::splice(&head, event)), )+
                }
            }

            /// Reads the newest version; `None` if the name is of no event here.
            pub(crate) fn read(name: &str, json: &str) -> Option<serde_json::Result<Self>> {
                match name {
                    $( $event::NAME => Some(serde_json::from_str(json).map(Self::$event)), )+
                    _ => None,
                }
            }
        }

        $(
            crate::event::event_struct! { $(#[$event_doc])* $event $every $fields }
            impl From<$event> for $name {
                fn from(event: $event) -> Self {
                    Self::$event(event)
                }
            }
        )+

        impl From<$name> for crate::event::Event {
            fn from(event: $name) -> Self {
                Self::$wrapper(event)
            }
        }
    };
}

/// One struct of [`events!`]: the common fields, then its own.
macro_rules! event_struct {
    (
        $(#[$doc:meta])* $event:ident
        { $( $(#[$every_doc:meta])* $every:ident : $every_type:ty, )* }
        { $( $(#[$field_doc:meta])* $field:ident : $type:ty, )* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $event {
            $( $(#[$every_doc])* #[serde(skip_serializing)] pub $every: $every_type, )*
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        impl $event {
            /// The event's name in the log.
            pub const NAME: &'static str = stringify!($event);
        }
    };
}

pub(crate) use {event_struct, events};
