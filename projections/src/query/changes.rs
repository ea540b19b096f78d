//! What has changed in the customer view since a position, for those who follow one customer.

use eventstore::Position;

use super::{CUSTOMER_ID, read};
use crate::error::QueryError;
use crate::projections::Projections;
use crate::table::{Condition, Sort};
use crate::views::customer::{CustomerRow, CustomerView};

/// The column that says which event changed a row last.
const CHANGED: &str = "changed";

/// Rows that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// As they are now, in the order of the events that changed them last.
    pub rows: Vec<CustomerRow>,
    /// Up to where nothing else of this customer changed.
    pub seen: Position,
}

impl Projections {
    /// A customer's orders that changed after a position, at most `limit` of them. One that changes again
    /// comes again: whoever goes on from [`Changes::seen`] misses nothing.
    pub async fn customer_changes(
        &self,
        customer_id: &str,
        after: Position,
        limit: usize,
    ) -> Result<Changes, QueryError> {
        let site = self.customer().site();
        let conditions = vec![
            Condition::Is(CUSTOMER_ID, customer_id.to_owned()),
            Condition::AtLeast(CHANGED, after.0 + 1),
        ];
        let sort = Sort::By {
            column: CHANGED,
            after: None,
        };
        let (table, rows) = site.store.list(site.def, conditions, sort, limit).await?;
        let full = rows.len() == limit;
        let rows: Vec<CustomerRow> = rows
            .iter()
            .map(|(_, doc)| read::<CustomerView>(&table, doc))
            .collect::<Result<_, _>>()?;
        // The rows are of the same moment, which is not before the checkpoint.
        let last = rows.last().map_or(after, |last| last.position);
        let seen = match full {
            true => last,
            false => last.max(table.checkpoint.position),
        };
        Ok(Changes { rows, seen })
    }
}
