//! A customer's row as it is stored: like the row, but with the many moments of its timeline as numbers.
//! They are half of what would be written, again and again with every event of an order.

use std::borrow::Cow;

use aggregates::money::Currency;
use aggregates::order::Line;
use chrono::serde::{ts_milliseconds, ts_milliseconds_option};
use chrono::{DateTime, Utc};
use eventstore::Position;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    CancelFacts, CustomerRow, DeliveryFacts, MessageFacts, OrderStatus, PaymentFacts, Refusal,
    TimelineEntry,
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    order_id: Uuid,
    customer_id: Cow<'a, str>,
    status: OrderStatus,
    stage: OrderStatus,
    lines: Cow<'a, [Line]>,
    shipping_fee: i64,
    currency: Currency,
    total: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejected: Option<Cow<'a, Refusal>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancel: Option<Cow<'a, CancelFacts>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment: Option<Cow<'a, PaymentFacts>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery: Option<Cow<'a, DeliveryFacts>>,
    #[serde(default, skip_serializing_if = "<[MessageFacts]>::is_empty")]
    messages: Cow<'a, [MessageFacts]>,
    /// Milliseconds and event.
    timeline: Vec<(i64, Cow<'a, str>)>,
    #[serde(with = "ts_milliseconds")]
    placed_at: DateTime<Utc>,
    #[serde(with = "ts_milliseconds")]
    updated_at: DateTime<Utc>,
    /// Rows of before version 3 of the view have neither: they are shown until they are replaced.
    #[serde(default, with = "ts_milliseconds_option")]
    ordered_at: Option<DateTime<Utc>>,
    #[serde(default)]
    position: Position,
}

/// Usual length of a document; a longer one grows by itself.
const USUAL_BYTES: usize = 1_280;

pub(super) fn write(row: &CustomerRow) -> serde_json::Result<String> {
    let timeline = row.timeline.iter();
    let stored = Stored {
        order_id: row.order_id,
        customer_id: Cow::Borrowed(&row.customer_id),
        status: row.status,
        stage: row.stage,
        lines: Cow::Borrowed(&row.lines),
        shipping_fee: row.shipping_fee,
        currency: row.currency,
        total: row.total,
        rejected: row.rejected.as_ref().map(Cow::Borrowed),
        cancel: row.cancel.as_ref().map(Cow::Borrowed),
        payment: row.payment.as_ref().map(Cow::Borrowed),
        delivery: row.delivery.as_ref().map(Cow::Borrowed),
        messages: Cow::Borrowed(&row.messages),
        timeline: timeline
            .map(|entry| (entry.at.timestamp_millis(), Cow::Borrowed(&*entry.event)))
            .collect(),
        placed_at: row.placed_at,
        updated_at: row.updated_at,
        ordered_at: Some(row.ordered_at),
        position: row.position,
    };
    let mut doc = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut doc, &stored)?;
    String::from_utf8(doc).map_err(serde_json::Error::custom)
}

pub(super) fn read(doc: &str) -> serde_json::Result<CustomerRow> {
    let stored: Stored<'_> = serde_json::from_str(doc)?;
    let entry = |(at, event): (i64, Cow<'_, str>)| {
        let at = DateTime::from_timestamp_millis(at)
            .ok_or_else(|| serde_json::Error::custom("a moment is out of range"))?;
        let event = Cow::Owned(event.into_owned());
        Ok(TimelineEntry { at, event })
    };
    Ok(CustomerRow {
        order_id: stored.order_id,
        customer_id: stored.customer_id.into_owned(),
        status: stored.status,
        stage: stored.stage,
        lines: stored.lines.into_owned(),
        shipping_fee: stored.shipping_fee,
        currency: stored.currency,
        total: stored.total,
        rejected: stored.rejected.map(Cow::into_owned),
        cancel: stored.cancel.map(Cow::into_owned),
        payment: stored.payment.map(Cow::into_owned),
        delivery: stored.delivery.map(Cow::into_owned),
        messages: stored.messages.into_owned(),
        timeline: stored
            .timeline
            .into_iter()
            .map(entry)
            .collect::<serde_json::Result<_>>()?,
        placed_at: stored.placed_at,
        ordered_at: stored.ordered_at.unwrap_or(stored.placed_at),
        updated_at: stored.updated_at,
        position: stored.position,
    })
}
