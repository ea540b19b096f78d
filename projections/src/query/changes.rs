//! What has changed in the customer view since a position, for those who follow one customer.

use std::fmt;
use std::str::FromStr;

use eventstore::Position;

use super::{CUSTOMER_ID, read};
use crate::error::QueryError;
use crate::projections::Projections;
use crate::store::Generation;
use crate::table::{Condition, Sort};
use crate::views::customer::{CustomerRow, CustomerView};

/// The column that says which event changed a row last.
const CHANGED: &str = "changed";

/// Which table a view shows, and how often parked events of it were taken. Where this has changed, any row may have, and
/// no event later than those that were seen says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition {
    generation: i64,
    releases: i64,
}

impl Edition {
    fn of(table: &Generation) -> Self {
        Self {
            generation: table.number,
            releases: table.releases,
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.releases)
    }
}

/// This is no edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an edition is two numbers with a dot between them")]
pub struct InvalidEdition;

impl FromStr for Edition {
    type Err = InvalidEdition;

    fn from_str(text: &str) -> Result<Self, InvalidEdition> {
        let (generation, releases) = text.split_once('.').ok_or(InvalidEdition)?;
        let number = |text: &str| text.parse().map_err(|_| InvalidEdition);
        Ok(Self {
            generation: number(generation)?,
            releases: number(releases)?,
        })
    }
}

/// Rows that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// As they are now, in the order of the events that changed them last.
    pub rows: Vec<CustomerRow>,
    /// Up to where nothing else of this customer changed.
    pub seen: Position,
    /// What was asked. The rows are at least as young.
    pub edition: Edition,
}

impl Projections {
    /// A customer's orders that changed after a position, at most `limit` of them. One that changes again
    /// comes again: whoever goes on from [`Changes::seen`] misses nothing as long as [`Changes::edition`] stays.
    pub async fn customer_changes(
        &self,
        customer_id: &str,
        after: Position,
        limit: usize,
    ) -> Result<Changes, QueryError> {
        let changed = Condition::AtLeast(CHANGED, after.0 + 1);
        let sort = Sort::By {
            column: CHANGED,
            after: None,
        };
        let (table, rows) = self.changed(customer_id, changed, sort, limit).await?;
        let full = rows.len() == limit;
        // The rows are of the same moment, which is not before the checkpoint.
        let last = rows.last().map_or(after, |last| last.position);
        let seen = match full {
            true => last,
            false => last.max(table.checkpoint.position),
        };
        Ok(Changes {
            rows,
            seen,
            edition: Edition::of(&table),
        })
    }

    /// A customer's orders that did not change after a position, the `limit` that changed last, and of which edition
    /// they are.
    pub async fn customer_unchanged(
        &self,
        customer_id: &str,
        after: Position,
        limit: usize,
    ) -> Result<(Vec<CustomerRow>, Edition), QueryError> {
        let unchanged = Condition::AtMost(CHANGED, after.0);
        let sort = Sort::LatestFirst {
            column: CHANGED,
            below: (i64::MAX, i64::MAX),
        };
        let (table, rows) = self.changed(customer_id, unchanged, sort, limit).await?;
        Ok((rows, Edition::of(&table)))
    }

    async fn changed(
        &self,
        customer_id: &str,
        changed: Condition,
        sort: Sort,
        limit: usize,
    ) -> Result<(Generation, Vec<CustomerRow>), QueryError> {
        let site = self.customer().site();
        let conditions = vec![Condition::Is(CUSTOMER_ID, customer_id.to_owned()), changed];
        let (table, rows) = site.store.list(site.def, conditions, sort, limit).await?;
        let rows = rows.iter();
        let rows = rows
            .map(|(_, doc)| read::<CustomerView>(&table, doc))
            .collect::<Result<_, _>>()?;
        Ok((table, rows))
    }
}
