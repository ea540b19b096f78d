//! The questions that can be asked of the views: lists by keyset, single rows, due sagas.

use aggregates::kakao::Kind;
use chrono::{DateTime, Utc};
use eventstore::Position;
use uuid::Uuid;

mod changes;
mod counts;

pub use changes::{Changes, Edition, InvalidEdition};
pub use counts::Counts;

use crate::cursor;
use crate::error::QueryError;
use crate::projection::Projection;
use crate::projections::Projections;
use crate::site::Site;
use crate::store::Generation;
use crate::table::{Condition, Sort, Value};
use crate::views::customer::{CustomerRow, CustomerView};
use crate::views::message::{MessageRow, MessageState, MessageView};
use crate::views::saga::{SagaRow, SagaView};

/// Rows in a page at most; larger answers only make latencies uneven.
pub const PAGE_MAX: usize = 500;

/// Parcels of one number that are looked through for one carrier's.
const SAME_NUMBER_MAX: usize = 50;

/// Columns of several queries.
const CUSTOMER_ID: &str = "customer_id";
const PLACED_AT: &str = "placed_at";
const REQUESTED_AT: &str = "requested_at";

/// The column of the saga view that says when somebody has to look at a saga again.
const DUE_AT: &str = "due_at";

/// A part of a list, youngest rows first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<R> {
    /// The rows.
    pub rows: Vec<R>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<String>,
    /// The rows are at least as young as this place in the log.
    pub position: Position,
}

/// Which page of a list: how many rows, and after which.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// Rows wanted; more than [`PAGE_MAX`] are cut to that, 0 is taken as 1.
    pub size: usize,
    /// [`Page::next`] of the page before.
    pub cursor: Option<String>,
}

/// Which of the lists that the customer view serves; each has its own statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CustomerList {
    /// All orders, by the order's status.
    #[default]
    Orders,
    /// Orders with a payment, by the payment's status.
    Payments,
    /// Orders with a parcel, by the parcel's status.
    Deliveries,
}

/// A stretch of time. A list that is asked for one comes by that time, the latest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Not before this moment.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// Which orders.
#[derive(Clone, Debug, Default)]
pub struct CustomerFilter {
    /// The list.
    pub list: CustomerList,
    /// Only this customer's.
    pub customer_id: Option<String>,
    /// Only in this status of the list. A status that does not exist matches nothing.
    pub status: Option<String>,
    /// Only those whose parcel has this number.
    pub waybill: Option<String>,
    /// Only those that the customer placed then.
    pub placed: Span,
}

/// Which messages.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Only to this customer.
    pub customer_id: Option<String>,
    /// Only about this order.
    pub order_id: Option<String>,
    /// Only with this status of the old services (`Shipped`).
    pub status: Option<String>,
    /// Only those that this became of.
    pub state: Option<MessageState>,
    /// Only those that are for this.
    pub kind: Option<Kind>,
    /// Only those that were asked for then.
    pub requested: Span,
}

/// Which sagas.
#[derive(Clone, Debug, Default)]
pub struct SagaFilter {
    /// Only in this status.
    pub status: Option<String>,
    /// Only those that hang on this step.
    pub step: Option<String>,
    /// Only those that were due by then.
    pub due_by: Option<DateTime<Utc>>,
}

impl Projections {
    /// Orders, youngest first.
    pub async fn customer_rows(
        &self,
        filter: &CustomerFilter,
        page: &PageRequest,
    ) -> Result<Page<CustomerRow>, QueryError> {
        let conditions = filter.conditions();
        let order = filter.placed.order(PLACED_AT);
        self::page::<CustomerView>(self.customer().site(), conditions, order, page).await
    }

    /// One order.
    pub async fn customer_row(&self, order_id: Uuid) -> Result<Option<CustomerRow>, QueryError> {
        self.customer().row(order_id).await
    }

    /// The youngest order whose parcel has this number at this carrier: carriers use their numbers again.
    pub async fn parcel(
        &self,
        carrier: &str,
        waybill: &str,
    ) -> Result<Option<CustomerRow>, QueryError> {
        let conditions = vec![Condition::Is("waybill", waybill.to_owned())];
        let page = PageRequest {
            size: SAME_NUMBER_MAX,
            cursor: None,
        };
        let rows = self.customer().page(conditions, &page).await?.rows;
        let of_carrier = |row: &CustomerRow| {
            let parcel = row.delivery.as_ref();
            parcel.and_then(|parcel| parcel.carrier.as_deref()) == Some(carrier)
        };
        Ok(rows.into_iter().find(of_carrier))
    }

    /// Messages, youngest first.
    pub async fn message_rows(
        &self,
        filter: &MessageFilter,
        page: &PageRequest,
    ) -> Result<Page<MessageRow>, QueryError> {
        let conditions = filter.conditions();
        let order = filter.requested.order(REQUESTED_AT);
        self::page::<MessageView>(self.message().site(), conditions, order, page).await
    }

    /// One message.
    pub async fn message_row(&self, message_id: Uuid) -> Result<Option<MessageRow>, QueryError> {
        self.message().row(message_id).await
    }

    /// Sagas, youngest first.
    pub async fn saga_rows(
        &self,
        filter: &SagaFilter,
        page: &PageRequest,
    ) -> Result<Page<SagaRow>, QueryError> {
        let mut conditions = Vec::new();
        is(&mut conditions, "status", filter.status.as_ref());
        is(&mut conditions, "step", filter.step.as_ref());
        conditions.extend(filter.due_by.into_iter().flat_map(due_by));
        let page = self.saga().page(conditions, page).await?;
        Ok(Page {
            rows: page.rows.into_iter().map(SagaRow::from).collect(),
            next: page.next,
            position: page.position,
        })
    }

    /// The sagas that somebody had to look at by `now`, the longest overdue first, with the position
    /// up to which the view knows. Any `limit` will do: they are read page by page, and one that moves
    /// between two pages may be missing or come twice.
    pub async fn due_sagas(
        &self,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Page<SagaRow>, QueryError> {
        let mut due = Page {
            rows: Vec::new(),
            next: None,
            position: Position::ZERO,
        };
        let mut after = None;
        while due.rows.len() < limit {
            let size = (limit - due.rows.len()).min(PAGE_MAX);
            let (position, rows) = self.due_page(now, after, size).await?;
            if after.is_none() {
                due.position = position;
            }
            let full = rows.len() == size;
            for (seq, row) in rows {
                after = row.due_at.map(|at| (at.timestamp_millis(), seq));
                due.rows.push(row);
            }
            if !full || after.is_none() {
                break;
            }
        }
        Ok(due)
    }

    /// How many sagas somebody had to look at by `now`.
    pub async fn count_due_sagas(&self, now: DateTime<Utc>) -> Result<u64, QueryError> {
        let site = self.saga().site();
        Ok(site.store.count(site.def, due_by(now)).await?)
    }

    async fn due_page(
        &self,
        now: DateTime<Utc>,
        after: Option<(i64, i64)>,
        size: usize,
    ) -> Result<(Position, Vec<(i64, SagaRow)>), QueryError> {
        let sort = Sort::By {
            column: DUE_AT,
            after,
        };
        let site = self.saga().site();
        let (table, rows) = site.store.list(site.def, due_by(now), sort, size).await?;
        let rows = rows
            .iter()
            .map(|(seq, doc)| Ok((*seq, read::<SagaView>(&table, doc)?.into())))
            .collect::<Result<_, QueryError>>()?;
        Ok((table.checkpoint.position, rows))
    }
}

impl CustomerFilter {
    fn conditions(&self) -> Vec<Condition> {
        let (status, exists) = match self.list {
            CustomerList::Orders => ("status", None),
            CustomerList::Payments => ("payment_status", Some("payment_status")),
            CustomerList::Deliveries => ("delivery_status", Some("delivery_status")),
        };
        let mut conditions = Vec::new();
        is(&mut conditions, CUSTOMER_ID, self.customer_id.as_ref());
        match (&self.status, exists) {
            (None, Some(column)) => conditions.push(Condition::Set(column)),
            _ => is(&mut conditions, status, self.status.as_ref()),
        }
        is(&mut conditions, "waybill", self.waybill.as_ref());
        conditions.extend(self.placed.conditions(PLACED_AT));
        conditions
    }
}

impl MessageFilter {
    fn conditions(&self) -> Vec<Condition> {
        let state = self.state.map(|state| state.as_str().to_owned());
        let kind = self.kind.map(|kind| kind.as_str().to_owned());
        let mut conditions = Vec::new();
        is(&mut conditions, CUSTOMER_ID, self.customer_id.as_ref());
        is(&mut conditions, "order_id", self.order_id.as_ref());
        is(&mut conditions, "status", self.status.as_ref());
        is(&mut conditions, "state", state.as_ref());
        is(&mut conditions, "kind", kind.as_ref());
        conditions.extend(self.requested.conditions(REQUESTED_AT));
        conditions
    }
}

impl Span {
    fn conditions(self, column: &'static str) -> impl Iterator<Item = Condition> {
        // Columns hold whole milliseconds: a moment within one is after its beginning.
        let up = |at: DateTime<Utc>| {
            let within = !at.timestamp_subsec_nanos().is_multiple_of(1_000_000);
            at.timestamp_millis() + i64::from(within)
        };
        let from = self.from.map(|from| Condition::AtLeast(column, up(from)));
        let to = self.to.map(|to| Condition::Below(column, up(to)));
        from.into_iter().chain(to)
    }

    fn order(self, column: &'static str) -> Order {
        match (self.from, self.to) {
            (None, None) => Order::Newest,
            _ => Order::Latest(column),
        }
    }
}

/// In which order a list comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// The youngest rows first.
    Newest,
    /// By this column, the largest value first.
    Latest(&'static str),
}

/// One row of a view.
pub(crate) async fn row<P: Projection>(
    site: &Site,
    key: Uuid,
) -> Result<Option<P::Row>, QueryError> {
    let (table, doc) = site.store.get(P::TABLE, key).await?;
    doc.map(|doc| read::<P>(&table, &doc)).transpose()
}

/// A row as the table has it. One of another version of the view may have rows that this build cannot read.
fn read<P: Projection>(table: &Generation, doc: &str) -> Result<P::Row, QueryError> {
    P::from_doc(doc).map_err(|error| match table.version == P::TABLE.version {
        true => QueryError::Row(error),
        false => QueryError::Rebuilding {
            view: P::TABLE.view,
        },
    })
}

/// A part of a list.
pub(crate) async fn page<P: Projection>(
    site: &Site,
    conditions: Vec<Condition>,
    order: Order,
    request: &PageRequest,
) -> Result<Page<P::Row>, QueryError> {
    let size = request.size.clamp(1, PAGE_MAX);
    let bound = cursor::fingerprint(P::TABLE.view, &conditions);
    let cursor = request.cursor.as_deref();
    let sort = match order {
        Order::Newest => {
            let below = cursor.map(|cursor| cursor::decode(bound, cursor));
            let [below] = below.transpose()?.unwrap_or([i64::MAX]);
            Sort::NewestFirst { below }
        }
        Order::Latest(column) => {
            let below = cursor.map(|cursor| cursor::decode(bound, cursor));
            let [value, seq] = below.transpose()?.unwrap_or([i64::MAX; 2]);
            let below = (value, seq);
            Sort::LatestFirst { column, below }
        }
    };
    // One row more than wanted tells whether the list goes on.
    let (table, mut rows) = site
        .store
        .list(P::TABLE, conditions, sort, size + 1)
        .await?;
    let more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().map(|(seq, _)| *seq);
    let rows: Vec<P::Row> = rows
        .iter()
        .map(|(_, doc)| read::<P>(&table, doc))
        .collect::<Result<_, _>>()?;
    let next = last.zip(rows.last()).filter(|_| more);
    let next = next.map(|(seq, row)| match order {
        Order::Newest => cursor::encode(bound, [seq]),
        Order::Latest(column) => cursor::encode(bound, [value_of::<P>(row, column), seq]),
    });
    Ok(Page {
        rows,
        next,
        position: table.checkpoint.position,
    })
}

/// What a row has in a column of numbers; the smallest number where it has nothing.
fn value_of<P: Projection>(row: &P::Row, column: &str) -> i64 {
    let at = P::TABLE.columns.iter().position(|it| it.name == column);
    let value = at.and_then(|at| P::columns(row).get(at).and_then(Value::as_int));
    value.unwrap_or(i64::MIN)
}

fn due_by(now: DateTime<Utc>) -> Vec<Condition> {
    vec![Condition::AtMost(DUE_AT, now.timestamp_millis())]
}

fn is(conditions: &mut Vec<Condition>, column: &'static str, value: Option<&String>) {
    if let Some(value) = value {
        conditions.push(Condition::Is(column, value.clone()));
    }
}
