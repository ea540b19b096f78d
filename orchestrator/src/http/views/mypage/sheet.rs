//! The customer view as a sheet. Whatever people wrote (titles, reasons) stays out: it may be personal.

use std::fmt::Write;

use projections::customer::CustomerRow;

use super::account::Account;
use crate::sheet::{Cell, lines};

/// The columns.
pub(super) const COLUMNS: [&str; 19] = [
    "orderId",
    "customerId",
    "status",
    "books",
    "copies",
    "shippingFee",
    "total",
    "paid",
    "refunded",
    "balance",
    "currency",
    "paymentStatus",
    "deliveryStatus",
    "carrier",
    "waybill",
    "placedAt",
    "shippedAt",
    "deliveredAt",
    "canceledAt",
];

/// The rows as lines.
pub(super) fn rows(rows: &[CustomerRow]) -> Vec<u8> {
    lines(rows.iter().map(cells))
}

fn cells(row: &CustomerRow) -> [Cell<'_>; COLUMNS.len()] {
    let account = Account::of(row);
    let payment = row.payment.as_ref().map(|payment| payment.status.as_str());
    let parcel = row.delivery.as_ref();
    let canceled = row.cancel.as_ref().and_then(|cancel| cancel.canceled_at);
    let copies = row.lines.iter().map(|line| i64::from(line.qty)).sum();
    [
        Cell::text(row.order_id.to_string()),
        Cell::text(row.customer_id.as_str()),
        Cell::text(row.status.as_str()),
        Cell::text(books(row)),
        Cell::Number(copies),
        Cell::Number(row.shipping_fee),
        Cell::Number(row.total),
        Cell::Number(account.paid),
        Cell::Number(account.refunded),
        Cell::Number(account.balance),
        Cell::text(row.currency.to_string()),
        Cell::maybe(payment),
        Cell::maybe(parcel.map(|parcel| parcel.status.as_str())),
        Cell::maybe(parcel.and_then(|parcel| parcel.carrier.as_deref())),
        Cell::maybe(parcel.and_then(|parcel| parcel.waybill.as_deref())),
        Cell::moment(Some(row.placed_at)),
        Cell::moment(parcel.and_then(|parcel| parcel.shipped_at)),
        Cell::moment(parcel.and_then(|parcel| parcel.delivered_at)),
        Cell::moment(canceled),
    ]
}

/// `9788937460449 x1; 9788954651135 x2`
fn books(row: &CustomerRow) -> String {
    row.lines.iter().fold(String::new(), |mut books, line| {
        let between = if books.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(books, "{between}{} x{}", line.book_id, line.qty);
        books
    })
}
