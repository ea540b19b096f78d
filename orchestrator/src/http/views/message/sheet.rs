//! The message view as a sheet. Texts and reasons stay out: people write them, and they may be personal.

use projections::message::MessageRow;

use crate::sheet::{Cell, lines};

/// The columns.
pub(super) const COLUMNS: [&str; 14] = [
    "messageId",
    "orderId",
    "customerId",
    "kind",
    "status",
    "state",
    "template",
    "channel",
    "fallback",
    "code",
    "attempts",
    "requestedAt",
    "sentAt",
    "updatedAt",
];

/// The rows as lines.
pub(super) fn rows(rows: &[MessageRow]) -> Vec<u8> {
    lines(rows.iter().map(cells))
}

fn cells(row: &MessageRow) -> [Cell<'_>; COLUMNS.len()] {
    let attempts = row.attempts.map(|attempts| Cell::Number(attempts.into()));
    [
        Cell::text(row.message_id.to_string()),
        Cell::text(row.order_id.as_str()),
        Cell::text(row.customer_id.as_str()),
        Cell::text(row.kind.as_str()),
        Cell::text(row.status.as_str()),
        Cell::text(row.state.as_str()),
        Cell::maybe(row.template.as_deref()),
        Cell::maybe(row.channel.as_deref()),
        Cell::maybe(row.fallback.as_deref()),
        Cell::maybe(row.code.as_deref()),
        attempts.unwrap_or(Cell::Empty),
        Cell::moment(Some(row.requested_at)),
        Cell::moment(row.sent_at),
        Cell::moment(Some(row.updated_at)),
    ]
}
