//! A view of one's own: what was taken for each book on each day.
//!
//! It is no part of the product. One order has several books, so one event belongs to several rows. The log is
//! only read, also beside the shop that writes it; the rows are kept in a directory of their own:
//!
//! ```sh
//! cargo run -p projections --example revenue -- ./bookmarket-data ./revenue
//! cargo run -p projections --example revenue -- postgres://localhost/bookmarket ./revenue
//! ```

use std::error::Error;
use std::io::Write as _;

use aggregates::Event;
use aggregates::money::Currency;
use aggregates::order::{Line, OrderEvent, OrderPaid};
use chrono::NaiveDate;
use eventstore::{Access, EventStore, Location, Options};
use projections::{
    ApplyError, Column, Facts, Index, Keys, Kind, PageRequest, Projection, Projections, Rows,
    TableDef, Value, ViewOf,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was taken for a book on a day. A cancellation is not subtracted: it belongs to another day, and does not
/// say whether the order was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevenueRow {
    pub(crate) book_id: String,
    pub(crate) day: NaiveDate,
    pub(crate) currency: Currency,
    pub(crate) copies: i64,
    pub(crate) amount: i64,
}

/// The projection.
#[derive(Debug)]
pub(crate) struct Revenue;

impl Projection for Revenue {
    type Row = RevenueRow;

    const TABLE: &'static TableDef = &TableDef {
        view: "revenue",
        version: 1,
        columns: &[
            Column {
                name: "book_id",
                kind: Kind::Text,
            },
            Column {
                name: "day",
                kind: Kind::Text,
            },
        ],
        indexes: &[
            Index {
                column: "book_id",
                rows: Rows::All,
            },
            Index {
                column: "day",
                rows: Rows::All,
            },
        ],
    };

    const CATEGORIES: &'static [&'static str] = &["order"];

    /// Lines of an order.
    const ROWS_PER_EVENT: u16 = 500;

    fn keys(event: &Event, _: &Facts<'_>) -> Keys {
        match event {
            Event::Order(OrderEvent::OrderPaid(paid)) => {
                paid.lines.iter().map(|line| key(line, paid)).collect()
            }
            _ => Keys::None,
        }
    }

    fn apply(
        row_key: Uuid,
        row: &mut Option<RevenueRow>,
        event: &Event,
        _: &Facts<'_>,
    ) -> Result<(), ApplyError> {
        let Event::Order(OrderEvent::OrderPaid(paid)) = event else {
            return Err(ApplyError::Foreign);
        };
        // One book may stand in several lines of an order.
        let mut lines = paid
            .lines
            .iter()
            .filter(|line| key(line, paid) == row_key)
            .peekable();
        let first = lines.peek().ok_or(ApplyError::NoRow)?;
        let mut sum = row
            .clone()
            .unwrap_or_else(|| RevenueRow::empty(first, paid));
        lines.try_for_each(|line| sum.add(line))?;
        *row = Some(sum);
        Ok(())
    }

    fn columns(row: &RevenueRow) -> Vec<Value<'_>> {
        vec![
            Value::text(row.book_id.as_str()),
            Value::text(row.day.to_string()),
        ]
    }

    fn is_settled(_: &RevenueRow) -> bool {
        false
    }
}

impl RevenueRow {
    fn empty(line: &Line, paid: &OrderPaid) -> Self {
        Self {
            book_id: line.book_id.clone(),
            day: paid.occurred_at.date_naive(),
            currency: paid.currency,
            copies: 0,
            amount: 0,
        }
    }

    fn add(&mut self, line: &Line) -> Result<(), ApplyError> {
        let copies = i64::from(line.qty);
        let price = copies.checked_mul(line.unit_price);
        let amount = price.and_then(|price| self.amount.checked_add(price));
        self.amount =
            amount.ok_or_else(|| ApplyError::Refused(String::from("the sum is too large")))?;
        self.copies += copies;
        Ok(())
    }
}

/// The row of a book on the day of a payment: the same parts give the same key, and no others do.
fn key(line: &Line, paid: &OrderPaid) -> Uuid {
    const SPACE: Uuid = Uuid::from_u128(0x7265_7665_6e75_4520_8000_626f_6f6b_6461);
    let parts = (&line.book_id, paid.occurred_at.date_naive(), paid.currency);
    let name = serde_json::to_vec(&parts).expect("a text, a day and a code are JSON");
    Uuid::new_v5(&SPACE, &name)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(log), Some(dir)) = (arguments.next(), arguments.next()) else {
        return Err(
            "usage: revenue <directory or postgres:// URL of the log> <directory of the view>"
                .into(),
        );
    };
    let log = match log.starts_with("postgres") {
        true => Location::postgres(log),
        false => Location::sqlite(log),
    };
    let only_read = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let log = EventStore::open(&log, only_read).await?;
    let place = Location::sqlite(dir);
    Projections::migrate(&place).await?;
    let view = ViewOf::<Revenue>::open(&place, log).await?;
    view.run_until_caught_up().await?;
    print(&view).await
}

/// All rows as CSV, the youngest first.
async fn print(view: &ViewOf<Revenue>) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "day,book,copies,amount,currency")?;
    let mut request = PageRequest {
        size: 500,
        cursor: None,
    };
    loop {
        let page = view.page(Vec::new(), &request).await?;
        for RevenueRow {
            book_id,
            day,
            currency,
            copies,
            amount,
        } in page.rows
        {
            writeln!(out, "{day},{book_id:?},{copies},{amount},{currency}")?;
        }
        request.cursor = page.next;
        if request.cursor.is_none() {
            return Ok(());
        }
    }
}
