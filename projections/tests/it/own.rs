//! A view that ours are not like: rows that end and begin again, and several rows for one event.

use aggregates::Event;
use aggregates::order::OrderEvent;
use projections::{
    ApplyError, Column, Facts, Keys, Kind, PageRequest, Projection, TableDef, Value, ViewOf,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Count {
    whose: Uuid,
    events: i64,
}

/// Counts the events of each order until it ends, and those of each customer. What comes after the end
/// begins anew.
pub(crate) struct Counts;

impl Projection for Counts {
    type Row = Count;

    const TABLE: &'static TableDef = &TableDef {
        view: "counts",
        version: 1,
        columns: &[Column {
            name: "events",
            kind: Kind::Int,
        }],
        indexes: &[],
    };
    const CATEGORIES: &'static [&'static str] = &["order", "payment", "delivery"];
    const ROWS_PER_EVENT: u16 = 2;

    fn keys(event: &Event, facts: &Facts<'_>) -> Keys {
        let customer = event.head().map(|head| head.customer_id.to_owned());
        let customer = Uuid::new_v5(
            &Uuid::NAMESPACE_OID,
            customer.unwrap_or_default().as_bytes(),
        );
        [facts.stream, customer].into_iter().collect()
    }

    fn apply(
        key: Uuid,
        row: &mut Option<Count>,
        event: &Event,
        facts: &Facts<'_>,
    ) -> Result<(), ApplyError> {
        let count = row.get_or_insert(Count {
            whose: key,
            events: 0,
        });
        count.events += 1;
        let ends = matches!(
            event,
            Event::Order(
                OrderEvent::OrderCanceled(_)
                    | OrderEvent::OrderDelivered(_)
                    | OrderEvent::OrderRejected(_)
            )
        );
        if ends && key == facts.stream {
            *row = None;
        }
        Ok(())
    }

    fn columns(row: &Count) -> Vec<Value<'_>> {
        vec![Value::Int(Some(row.events))]
    }

    fn is_settled(_: &Count) -> bool {
        false
    }
}

/// All rows, youngest first.
pub(crate) async fn counts(view: &ViewOf<Counts>) -> Vec<Count> {
    let mut rows = Vec::new();
    let mut request = PageRequest {
        size: 100,
        cursor: None,
    };
    loop {
        let page = view.page(Vec::new(), &request).await.unwrap();
        rows.extend(page.rows);
        request.cursor = page.next;
        if request.cursor.is_none() {
            return rows;
        }
    }
}
