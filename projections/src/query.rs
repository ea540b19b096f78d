//! The questions that can be asked of the views: lists by keyset, single rows, due sagas.

use chrono::{DateTime, Utc};
use eventstore::Position;
use uuid::Uuid;

use crate::cursor;
use crate::error::QueryError;
use crate::projection::Projection;
use crate::projections::Projections;
use crate::table::{Condition, Sort};
use crate::views::customer::{CustomerRow, CustomerView};
use crate::views::message::{MessageRow, MessageState, MessageView};
use crate::views::saga::{SagaRow, SagaView};

/// Rows in a page at most; larger answers only make latencies uneven.
pub const PAGE_MAX: usize = 500;

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

/// Which orders.
#[derive(Clone, Debug, Default)]
pub struct CustomerFilter {
    /// The list.
    pub list: CustomerList,
    /// Only this customer's.
    pub customer_id: Option<String>,
    /// Only in this status of the list. A status that does not exist matches nothing.
    pub status: Option<String>,
}

/// Which messages.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Only to this customer.
    pub customer_id: Option<String>,
    /// Only about this order.
    pub order_id: Option<String>,
    /// Only with this status of the seed (`Shipped`).
    pub status: Option<String>,
    /// Only those that this became of.
    pub state: Option<MessageState>,
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
        let (status, exists) = match filter.list {
            CustomerList::Orders => ("status", None),
            CustomerList::Payments => ("payment_status", Some("payment_status")),
            CustomerList::Deliveries => ("delivery_status", Some("delivery_status")),
        };
        let mut conditions = Vec::new();
        is(&mut conditions, "customer_id", filter.customer_id.as_ref());
        match (&filter.status, exists) {
            (None, Some(column)) => conditions.push(Condition::Set(column)),
            _ => is(&mut conditions, status, filter.status.as_ref()),
        }
        self.page::<CustomerView>(conditions, page).await
    }

    /// One order.
    pub async fn customer_row(&self, order_id: Uuid) -> Result<Option<CustomerRow>, QueryError> {
        self.row::<CustomerView>(order_id).await
    }

    /// Messages, youngest first.
    pub async fn message_rows(
        &self,
        filter: &MessageFilter,
        page: &PageRequest,
    ) -> Result<Page<MessageRow>, QueryError> {
        let state = filter.state.map(|state| state.as_str().to_owned());
        let mut conditions = Vec::new();
        is(&mut conditions, "customer_id", filter.customer_id.as_ref());
        is(&mut conditions, "order_id", filter.order_id.as_ref());
        is(&mut conditions, "status", filter.status.as_ref());
        is(&mut conditions, "state", state.as_ref());
        self.page::<MessageView>(conditions, page).await
    }

    /// One message.
    pub async fn message_row(&self, message_id: Uuid) -> Result<Option<MessageRow>, QueryError> {
        self.row::<MessageView>(message_id).await
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
        if let Some(due_by) = filter.due_by {
            conditions.push(Condition::AtMost("due_at", due_by.timestamp_millis()));
        }
        let page = self.page::<SagaView>(conditions, page).await?;
        Ok(Page {
            rows: page.rows.into_iter().map(SagaRow::from).collect(),
            next: page.next,
            position: page.position,
        })
    }

    /// One saga.
    pub async fn saga_row(&self, saga_id: Uuid) -> Result<Option<SagaRow>, QueryError> {
        Ok(self.row::<SagaView>(saga_id).await?.map(SagaRow::from))
    }

    /// The sagas that somebody had to look at by `now`, the longest overdue first, with the position
    /// up to which the view knows.
    pub async fn due_sagas(
        &self,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Page<SagaRow>, QueryError> {
        let due = vec![Condition::AtMost("due_at", now.timestamp_millis())];
        let limit = limit.clamp(1, PAGE_MAX);
        let (position, rows) = self
            .store()
            .list(SagaView::TABLE, due, Sort::By("due_at"), limit)
            .await?;
        let rows = rows
            .iter()
            .map(|(_, doc)| SagaView::from_doc(doc).map(SagaRow::from))
            .collect::<Result<_, _>>()?;
        Ok(Page {
            rows,
            next: None,
            position,
        })
    }

    async fn row<P: Projection>(&self, key: Uuid) -> Result<Option<P::Row>, QueryError> {
        let (_, doc) = self.store().get(P::TABLE, key).await?;
        Ok(doc.map(|doc| P::from_doc(&doc)).transpose()?)
    }

    async fn page<P: Projection>(
        &self,
        conditions: Vec<Condition>,
        request: &PageRequest,
    ) -> Result<Page<P::Row>, QueryError> {
        let size = request.size.clamp(1, PAGE_MAX);
        let bound = cursor::fingerprint(P::TABLE.view, &conditions);
        let below = match &request.cursor {
            Some(cursor) => cursor::decode(bound, cursor)?,
            None => i64::MAX,
        };
        // One row more than wanted tells whether the list goes on.
        let sort = Sort::NewestFirst { below };
        let (position, mut rows) = self
            .store()
            .list(P::TABLE, conditions, sort, size + 1)
            .await?;
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|(seq, _)| cursor::encode(bound, *seq));
        let rows = rows
            .iter()
            .map(|(_, doc)| P::from_doc(doc))
            .collect::<Result<_, _>>()?;
        Ok(Page {
            rows,
            next,
            position,
        })
    }
}

fn is(conditions: &mut Vec<Condition>, column: &'static str, value: Option<&String>) {
    if let Some(value) = value {
        conditions.push(Condition::Is(column, value.clone()));
    }
}
