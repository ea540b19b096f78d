//! An order on the wire.

use aggregates::money::Currency;
use aggregates::order::{Line, Ordered};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::fulfilment::answers::{OrderAnswer, Verdict};

/// The answer to an order: a function of the order's first events, so that every repeat gets the same bytes
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlacedOrder)]
pub struct OrderDocument<'a> {
    /// The order
    order_id: Uuid,
    /// Who ordered
    customer_id: &'a str,
    /// `Paid`, or `Pending` while the payment is open
    #[schema(example = "Paid")]
    status: &'static str,
    /// The first line's book
    book_id: &'a str,
    /// The first line's quantity
    qty: u32,
    /// All lines
    #[schema(value_type = Vec<Object>)]
    lines: &'a [Line],
    /// Postage, in minor units
    shipping_fee: i64,
    /// What is charged, in minor units
    total: i64,
    /// ISO 4217
    #[schema(value_type = String)]
    currency: Currency,
    /// The provider's reference of the charge
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_ref: Option<&'a str>,
    /// The order's number in the system it came from
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    /// When we took the order
    ordered_at: DateTime<Utc>,
    /// Where to go from here
    #[serde(rename = "_links")]
    #[schema(value_type = Object)]
    links: OrderLinks,
}

impl<'a> OrderDocument<'a> {
    /// What the customer is told; nothing for an order that never became one.
    #[must_use]
    pub fn of(answer: &'a OrderAnswer) -> Option<OrderDocument<'a>> {
        let (status, payment_ref) = match &answer.verdict {
            Verdict::Paid { payment_ref } => ("Paid", Some(payment_ref.as_str())),
            Verdict::Pending => ("Pending", None),
            Verdict::Rejected(_) => return None,
        };
        let Ordered {
            order_id,
            customer_id,
            book_id,
            qty,
            lines,
            shipping_fee,
            total,
            currency,
            ..
        } = &answer.ordered;
        Some(OrderDocument {
            order_id: *order_id,
            customer_id,
            status,
            book_id,
            qty: *qty,
            lines,
            shipping_fee: *shipping_fee,
            total: *total,
            currency: *currency,
            payment_ref,
            external_id: answer.ordered.external_id.as_deref(),
            ordered_at: answer.ordered.occurred_at,
            links: OrderLinks::of(*order_id),
        })
    }
}

/// Everything that belongs to an order.
#[derive(Debug, Serialize)]
pub(super) struct OrderLinks {
    #[serde(rename = "self")]
    itself: Link,
    payment: Link,
    delivery: Link,
    mypage: Link,
    events: Link,
    cancel: Link,
}

#[derive(Debug, Serialize)]
struct Link {
    href: String,
}

impl OrderLinks {
    pub(super) fn of(order: Uuid) -> OrderLinks {
        let link = |place: &str, rest: &str| Link {
            href: format!("/{place}/{order}{rest}"),
        };
        OrderLinks {
            itself: link("orders", ""),
            payment: link("payments", ""),
            delivery: link("deliveries", ""),
            mypage: link("mypages", ""),
            events: link("orders", "/events"),
            cancel: link("orders", "/cancel"),
        }
    }
}
