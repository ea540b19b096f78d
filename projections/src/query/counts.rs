//! How many rows there are, by what became of them. Exact, and read from indexes where no filter needs more.

use std::collections::BTreeMap;

use super::{CustomerFilter, MessageFilter};
use crate::error::QueryError;
use crate::projections::Projections;
use crate::site::Site;
use crate::table::Condition;

/// Counts by status; a status that no row has is not among them.
pub type Counts = BTreeMap<String, u64>;

impl Projections {
    /// Orders by their status. The filter's own list and status do not count.
    pub async fn count_customer_rows(&self, filter: &CustomerFilter) -> Result<Counts, QueryError> {
        let filter = CustomerFilter {
            list: super::CustomerList::Orders,
            status: None,
            ..filter.clone()
        };
        counts(self.customer().site(), filter.conditions(), "status").await
    }

    /// Messages by what became of them. The filter's own state does not count.
    pub async fn count_message_rows(&self, filter: &MessageFilter) -> Result<Counts, QueryError> {
        let filter = MessageFilter {
            state: None,
            ..filter.clone()
        };
        counts(self.message().site(), filter.conditions(), "state").await
    }
}

/// By a column that every row has a value of.
async fn counts(
    site: &Site,
    conditions: Vec<Condition>,
    column: &'static str,
) -> Result<Counts, QueryError> {
    let (_, tally) = site.store.tally(site.def, conditions, column).await?;
    let (mut counts, mut all) = (Counts::new(), 0);
    for (value, count) in tally {
        match value {
            Some(value) => drop(counts.insert(value, count)),
            None => all = count,
        }
    }
    let usual = all - counts.values().sum::<u64>();
    if let Some(value) = site.def.usual(column).filter(|_| usual > 0) {
        counts.insert(value.to_owned(), usual);
    }
    Ok(counts)
}
