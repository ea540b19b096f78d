//! A row of the customer view as it is shown: the facts of the row, and what they mean at this moment.

use aggregates::money::Currency;
use aggregates::order::Line;
use chrono::{DateTime, Utc};
use eventstore::Position;
use projections::customer::{
    CancelFacts, CustomerRow, DeliveryFacts, MessageFacts, OrderStatus, PaymentFacts, Refusal,
};
use serde::Serialize;
use uuid::Uuid;

use super::account::Account;
use super::cancelling::Cancelling;
use super::standing::{self, Next};
use super::timeline::Told;
use crate::fulfilment::limits::Limits;
use crate::http::views::customer::Links;

/// An order as its customer sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http::views) struct Mypage<'a> {
    order_id: Uuid,
    customer_id: &'a str,
    status: OrderStatus,
    /// How far the order itself has come, whatever a pending cancellation says.
    stage: OrderStatus,
    /// The status as a sentence.
    status_text: String,
    next_step: Option<Next>,
    /// What is not as it should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    troubles: Vec<String>,
    /// The first line's book.
    book_id: Option<&'a str>,
    qty: Option<u32>,
    lines: &'a [Line],
    shipping_fee: i64,
    total: i64,
    currency: Currency,
    account: Account,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<&'a PaymentFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<&'a DeliveryFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<&'a Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<&'a CancelFacts>,
    /// Whether asking for a cancellation can still succeed.
    cancelable: bool,
    /// What asking for one would do.
    cancelling: Cancelling,
    messages: &'a [MessageFacts],
    timeline: Vec<Told<'a>>,
    placed_at: DateTime<Utc>,
    ordered_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// The place in the log of the last event in it.
    position: Position,
    #[serde(rename = "_links")]
    links: Links,
}

impl<'a> Mypage<'a> {
    pub(in crate::http::views) fn new(
        row: &'a CustomerRow,
        collection: &str,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Mypage<'a> {
        let first = row.lines.first();
        let account = Account::of(row);
        let cancelling = Cancelling::of(row, &account);
        Mypage {
            order_id: row.order_id,
            customer_id: &row.customer_id,
            status: row.status,
            stage: row.stage,
            status_text: standing::sentence(row, &account),
            next_step: standing::next(row, &account, limits, now),
            troubles: standing::troubles(row),
            book_id: first.map(|line| line.book_id.as_str()),
            qty: first.map(|line| line.qty),
            lines: &row.lines,
            shipping_fee: row.shipping_fee,
            total: row.total,
            currency: row.currency,
            account,
            payment: row.payment.as_ref(),
            delivery: row.delivery.as_ref(),
            rejected: row.rejected.as_ref(),
            cancel: row.cancel.as_ref(),
            cancelable: cancelling.possible,
            cancelling,
            messages: &row.messages,
            timeline: row.timeline.iter().map(Told::from).collect(),
            placed_at: row.placed_at,
            ordered_at: row.ordered_at,
            updated_at: row.updated_at,
            position: row.position,
            links: Links::to(collection, row.order_id),
        }
    }
}
